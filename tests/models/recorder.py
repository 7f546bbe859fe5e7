"""Writes down every commit and every driver verb of a process, before and after, and kills it at one of them."""

import inspect
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leasehold.drivers import Unavailable
from leasehold.orchestrator import Orchestrator
from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.store.writer import Batches

VERBS = frozenset(
    {
        "probe",
        "acquire",
        "recover",
        "inspect",
        "realize",
        "target",
        "release",
        "destroy",
        "owned",
        "baseline",
        "sync_back",
        "recorded",
        "remote_spec",
    }
)
Breaks = Mapping[tuple[str, str], int]


class Recorder:
    """The log of one process: a line a point. At the point of the number ``kill``, or of
    that name, the process kills itself.

    ``breaks`` are verbs that answer with an error, once: (verb, before or after its effect) → at which call.
    """

    def __init__(self, log: Path, kill: int | str | None = None, breaks: Breaks | None = None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._kill = kill
        self._breaks = dict(breaks or {})
        self._calls: dict[str, int] = {}
        self._lock = threading.Lock()
        self._points = 0

    def at(self, when: str, what: str) -> None:
        """One point. The line is there before the process dies of it."""
        with self._lock:
            os.write(self._log, f"{when} {what}\n".encode())
            if self._kill in (self._points, f"{when} {what}"):
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()  # the signal reaches this thread first of all, and it does no more
            self._points += 1

    def install(self, orchestrator: Orchestrator) -> None:
        """From now on, every commit of this orchestrator's store is a point."""
        store: Any = orchestrator.store
        for writer in getattr(store.writer, "_writers", (store.writer,)):
            writer._batches = _Commits(writer._batches, self)  # the seam is the writer's own: its thread commits there

    async def verb(self, verb: str, call: Callable[[], Any]) -> Any:
        """One verb of a driver, with a point before and after."""
        self.at("before", verb)
        answer = None
        broken = self._breaks_now(verb, "before")
        if broken is None:
            answer = call()
            if inspect.isawaitable(answer):
                answer = await answer
            broken = self._breaks_now(verb, "after")
        self.at("after", verb)
        if broken is not None:
            raise broken
        return answer

    def _breaks_now(self, verb: str, when: str) -> Unavailable | None:
        """The error that the script has for this call of the verb."""
        if when == "before":
            self._calls[verb] = self._calls.get(verb, 0) + 1
        if self._breaks.get((verb, when)) != self._calls[verb]:
            return None
        return Unavailable(f"{verb} answers with an error, {when} it took effect")


_RENEWAL = "extend"  # of the owner: it comes by the clock, or when another process gives a hint, and is of no path


class _Commits:
    """The batches of a writer, each a point before and after it is durable."""

    def __init__(self, batches: Batches, recorder: Recorder) -> None:
        self._batches = batches
        self._recorder = recorder

    def commit(self, writes: Sequence[Write], jobs: Sequence[Callable[[Any], Any]]) -> list[Any]:
        told = [*map(_written, writes), *(job for job in map(_job, jobs) if job != _RENEWAL)]
        if not told:
            return self._batches.commit(writes, jobs)
        name = f"commit {'; '.join(told)}"
        self._recorder.at("before", name)
        answers = self._batches.commit(writes, jobs)
        self._recorder.at("after", name)
        return answers

    def begin_anew(self) -> None:
        self._batches.begin_anew()

    def close(self) -> None:
        self._batches.close()


def _written(write: Write) -> str:
    giver = "" if write.giver is None else f"[{_written(write.giver)}] "
    return giver + ", ".join(f"{entry.event} {entry.kind}" for entry in write.entries)


def _job(job: Callable[[Any], Any]) -> str:
    return str(getattr(job, "__name__", type(job).__name__)).strip("_")


class RecordedDriver:
    """A driver whose verbs are points; for the rest it is the driver itself."""

    def __init__(self, driver: Any, recorder: Recorder) -> None:
        self._driver = driver
        self._recorder = recorder
        self.name = driver.name
        self.version = driver.version
        self.Config = driver.Config

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if name not in VERBS:
            return found
        recorder = self._recorder

        async def verb(*arguments: Any, **named: Any) -> Any:
            answer = await recorder.verb(name, lambda: found(*arguments, **named))
            return _RecordedTarget(answer, recorder) if name == "target" else answer

        async def listing(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            recorder.at("before", name)
            for each in [each async for each in found(*arguments, **named)]:
                yield each
            recorder.at("after", name)

        return listing if name == "owned" else verb


class _RecordedTarget:
    """A target whose commands are points."""

    def __init__(self, target: Any, recorder: Recorder) -> None:
        self._target = target
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name != "execute":
            return found

        async def execute(command: Any) -> Any:
            return await self._recorder.verb("execute", lambda: found(command))

        return execute
