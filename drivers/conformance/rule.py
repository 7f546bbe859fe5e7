"""One rule of the suite: a test with pytest, a verdict without."""

import asyncio
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import SkipTest

from leasehold.drivers.conformance.scene import Scene
from leasehold.drivers.conformance.suite import Suite


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a driver did by one rule: ``passed``, ``failed`` or ``skipped``. ``seconds`` is how long it took."""

    group: str
    name: str
    rule: str
    outcome: str
    detail: str
    seconds: float


def rule(test: Callable[[Any, Scene], Awaitable[None]]) -> Callable[[Any], None]:
    """Make a test of a coroutine method that takes a ``Scene``. It needs no plugin and no fixture."""
    group = _group(test)

    def run(self: Suite) -> None:
        for name in (group, test.__name__.removeprefix("test_")):
            if name in self.opts_out:
                raise SkipTest(self.opts_out[name])
        with tempfile.TemporaryDirectory(prefix="leasehold-conformance-") as folder:
            asyncio.run(_staged(self, test, Path(folder).resolve()))

    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    run.__module__ = test.__module__
    return run


async def _staged(suite: Suite, test: Callable[[Any, Scene], Awaitable[None]], folder: Path) -> None:
    async with asyncio.timeout(suite.seconds), Scene(suite, folder) as scene:
        await test(suite, scene)


def verdicts(suite: Suite) -> Iterator[Verdict]:
    """Try a driver by each rule, without pytest. Blocks; to be called where no event loop runs."""
    for name in _names(type(suite)):
        test = getattr(suite, name)
        outcome, detail, started = "passed", "", time.monotonic()
        try:
            test()
        except SkipTest as reason:
            outcome, detail = "skipped", str(reason)
        except Exception as error:  # noqa: BLE001 - whatever a driver does is a verdict
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome, detail = "failed", f"{type(error).__name__}: {str(error) or last.line}"
        group = _group(test)
        words = name.removeprefix("test_").replace("_", " ")
        yield Verdict(group, words, test.__doc__ or "", outcome, detail, time.monotonic() - started)


def _group(test: Callable[..., Any]) -> str:
    """The class in which a test is written."""
    return test.__qualname__.split(".")[-2].lower()


def _names(suite: type[Suite]) -> list[str]:
    """The names of its tests, in the order in which they stand."""
    found = (name for cls in reversed(suite.__mro__) for name in vars(cls) if name.startswith("test_"))
    return list(dict.fromkeys(found))
