"""The steps of a lease, shown on stderr as they happen, each with its time."""

import asyncio
import sys
from contextlib import suppress
from types import TracebackType

from leasehold.drivers.shown import shown
from leasehold.orchestrator.cli.display import console
from leasehold.orchestrator.cli.failure import say
from leasehold.orchestrator.duration import spoken
from leasehold.orchestrator.step import News
from leasehold.states import CleanupEvent, LeaseEvent, Move
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_SIGN_OF_LIFE = 2.0
_STILLNESS = 0.2


class StepsShown:
    """A listener. On a terminal a step that is under way moves; elsewhere it is named after a while.

    A terminal that was closed is written to no more.

    ``lease_id`` is the lease that the steps are of, once there was one.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.lease_id: str | None = None
        self._quiet = quiet
        self._terminal = console(sys.stderr) if sys.stderr.isatty() else None
        self._moves = None if self._terminal is None or self._terminal.is_dumb_terminal else self._terminal
        self._moving: Progress | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> "StepsShown":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def __call__(self, news: News) -> None:
        if self.lease_id is None:
            self.lease_id = news.lease_id
            self._line(f"lease {news.lease_id}")
        if self._quiet:
            return
        match news.kind:
            case "begun":
                self._begin(news.event)
            case "progress":
                self._line(f"{news.event}: {news.text}")
            case _:
                self._end()
                self._ended(news)

    def command(self, text: str, took: float) -> None:
        """Show how the command itself ended, and its time."""
        if not self._quiet:
            self._show("command", took, text, failed=False)

    def _ended(self, news: News) -> None:
        if news.event == "provision" and news.text == "none":
            return
        failed = news.kind == "failed"
        # a failed step's message stands in the error line, at the end
        text = "failed" if failed and news.event != LeaseEvent.FAIL else news.text
        if news.event == CleanupEvent.ABSOLVE:
            self._show(CleanupEvent.CLEAN, news.seconds, Move.ABSOLVE.gloss, failed=False)
        else:
            self._show(news.event, news.seconds, text, failed=failed)

    def _show(self, name: str, seconds: float | None, text: str, *, failed: bool) -> None:
        took = "" if seconds is None else spoken(seconds)
        if self._terminal is None:
            self._line(f"{name} {took}".rstrip() + (f": {text}" if text else ""))
            return
        styled = Text(f"{name:<10}", "red" if failed else "green")
        self._print(Text.assemble("  ", styled, Text(f"{took:>9}  ", "dim"), shown(text)))

    def _begin(self, event: str) -> None:
        self._end()
        pause, sign = (_SIGN_OF_LIFE, self._name) if self._moves is None else (_STILLNESS, self._move)
        self._timer = asyncio.get_running_loop().call_later(pause, sign, event)

    def _name(self, event: str) -> None:
        self._line(f"{event} …")

    def _move(self, event: str) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._moving = Progress(*columns, console=self._moves, transient=True)
        self._moving.add_task(event, total=None)
        with suppress(OSError):
            self._moving.start()

    def _end(self) -> None:
        if self._moving is not None:
            with suppress(OSError):
                self._moving.stop()
            self._moving = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _line(self, text: str) -> None:
        if self._quiet:
            return
        if self._terminal is None:
            say(f"leasehold: {shown(text)}")
        else:
            self._print(Text(f"  {shown(text)}", "dim"))

    def _print(self, text: Text) -> None:
        with suppress(OSError):
            assert self._terminal is not None
            self._terminal.print(text)
