"""The steps of a lease, shown on stderr as they happen, each with its time."""

import asyncio
import sys
from types import TracebackType

from leasehold.drivers.shown import shown
from leasehold.orchestrator.cli.display import console
from leasehold.orchestrator.cli.failure import say
from leasehold.orchestrator.duration import spoken
from leasehold.orchestrator.step import News
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_SIGN_OF_LIFE = 2.0


class StepsShown:
    """A listener. On a terminal a step that is under way moves; elsewhere it is named after a while.

    ``lease_id`` is the lease that the steps are of, once there was one.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.lease_id: str | None = None
        self._quiet = quiet
        self._terminal = console(sys.stderr) if sys.stderr.isatty() else None
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

    def _ended(self, news: News) -> None:
        if news.event == "provision" and news.text == "none":
            return
        failed = news.kind == "failed"
        took = "" if news.seconds is None else spoken(news.seconds)
        text = "failed" if failed else news.text
        if self._terminal is None:
            self._line(f"{news.event} {took}".rstrip() + (f": {text}" if text else ""))
            return
        name = Text(f"{news.event:<10}", "red" if failed else "green")
        self._terminal.print(Text.assemble("  ", name, Text(f"{took:>9}  ", "dim"), shown(text)))

    def _begin(self, event: str) -> None:
        self._end()
        if self._terminal is not None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._moving = Progress(*columns, console=self._terminal, transient=True)
            self._moving.add_task(event, total=None)
            self._moving.start()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SIGN_OF_LIFE, self._line, f"{event} …")

    def _end(self) -> None:
        if self._moving is not None:
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
            self._terminal.print(Text(f"  {shown(text)}", "dim"))
