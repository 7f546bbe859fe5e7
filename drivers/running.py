"""One command in flight, on the caller's side: its channel, and our ends of its streams."""

import asyncio
import os
import time
from typing import TYPE_CHECKING

from leasehold.drivers.channel import Channel
from leasehold.drivers.command import Command, Output
from leasehold.drivers.link import Link
from leasehold.drivers.pipe import Drain, Feed, finish_all

if TYPE_CHECKING:
    from leasehold.drivers.frame import Report, Request


class Running:
    """One command, from before it is sent until its streams are closed.

    Attributes:
        fds: what the supervisor is sent: the channel's end, and the command's three streams.
    """

    def __init__(self, command: Command) -> None:
        self._channel = Channel()
        self._theirs: list[int] = []
        self._drains: list[Drain] = []
        self._feed: Feed | None = None
        self._goes_on = False
        try:
            self.fds = [self._channel.theirs.fileno(), *self._streams(command)]
        except OSError:
            self.close(None)
            raise

    @property
    def stdout(self) -> Output:
        """What it wrote there so far."""
        return self._drains[0].output() if self._drains else Output()

    @property
    def stderr(self) -> Output:
        """What it wrote there so far."""
        return self._drains[1].output() if self._drains else Output()

    def sent(self) -> None:
        """The supervisor has its ends now: close them here."""
        self._channel.theirs.close()
        while self._theirs:
            os.close(self._theirs.pop())

    async def report(
        self, request: "Request", let_go: "asyncio.Future[None]", silence: float | None, settle: float
    ) -> "Report | None":
        """The watcher's report, with all output taken; ``None`` where there is none.

        That is where the supervisor died, where the watcher has said nothing within ``silence`` seconds,
        or when ``let_go`` is set: the command goes on then. Where the caller is cancelled, or its
        ``on_output`` raises, the command is ended first, within ``settle`` seconds.
        """
        answer = asyncio.ensure_future(self._channel.ask(request))
        try:
            await self._answered(answer, let_go, silence)
        except BaseException:
            self._channel.finish()
            await _within(answer, settle)
            raise
        finally:
            if not answer.done():
                answer.cancel()
        if let_go.done() and not answer.done():
            self._goes_on = True
            self._channel.let_go()
            return None
        report: Report | None = answer.result() if answer.done() and not answer.cancelled() else None
        self._goes_on = report is not None and report["outcome"] == "exited"
        await finish_all(self._drains)
        return report

    def end(self) -> None:
        """Have the command ended; its report says that it was cancelled."""
        self._channel.finish()

    def close(self, link: Link | None) -> None:
        """Close all of our ends. What goes on writing to them may do so: the supervisor reads it."""
        self.sent()
        for drain in self._drains:
            if self._goes_on and not drain.at_end and link is not None:
                link.hand_over(drain.fd)
            drain.close()
        if self._feed is not None:
            self._feed.close()
        self._channel.close()

    def _streams(self, command: Command) -> tuple[int, int, int]:
        if command.streams is not None:
            return command.streams.stdin, command.streams.stdout, command.streams.stderr
        if command.stdin:
            stdin, write = os.pipe()
            self._theirs.append(stdin)
            self._feed = Feed(write, command.stdin)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY)
            self._theirs.append(stdin)
        return stdin, self._captured("stdout", command), self._captured("stderr", command)

    def _captured(self, name: str, command: Command) -> int:
        read, write = os.pipe()
        self._theirs.append(write)
        self._drains.append(Drain(read, name, command.limit, command.on_output))
        return write

    async def _answered(
        self, answer: "asyncio.Future[Report]", let_go: "asyncio.Future[None]", silence: float | None
    ) -> None:
        """Wait for the answer, or for a reason not to. Raises what ``on_output`` raised."""
        give_up = None if silence is None else time.monotonic() + silence
        waiting: set[asyncio.Future[None] | asyncio.Future[Report]] = {answer, let_go}
        waiting.update(drain.done for drain in self._drains)
        while not answer.done() and not let_go.done():
            left = None if give_up is None else max(0.0, give_up - time.monotonic())
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return
            for future in done - {answer, let_go}:
                future.result()


async def _within(answer: "asyncio.Future[Report]", seconds: float) -> None:
    """Wait for an answer, whoever cancels us meanwhile: the caller is to go on when the tree has ended."""
    give_up = time.monotonic() + seconds
    while not answer.done() and (left := give_up - time.monotonic()) > 0:
        try:
            await asyncio.wait({answer}, timeout=left)
        except asyncio.CancelledError:
            continue  # the first cancellation goes on when this returns
