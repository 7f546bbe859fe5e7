"""``leasehold`` with a stopwatch around its parts: ``timed_run.py REPORT BEGAN_AT ARGUMENT…``.

Writes milliseconds by part, as JSON. A part that runs inside another counts for itself alone.
"""

import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_SPENT: dict[str, float] = {}
_OPEN: list[float] = []


def _stopped(name: str, began: float, inner_before: float) -> None:
    whole = time.perf_counter() - began
    inner, _OPEN[-1] = _OPEN[-1], inner_before + whole
    _SPENT[name] = _SPENT.get(name, 0.0) + (whole - inner) * 1000


def _timed(owner: Any, name: str, part: str | Callable[..., str]) -> None:
    """Put a stopwatch around an async method."""
    method: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def watched(*arguments: Any, **named: Any) -> Any:
        label = part if isinstance(part, str) else part(*arguments)
        outer, _OPEN[-1], began = _OPEN[-1], 0.0, time.perf_counter()
        try:
            return await method(*arguments, **named)
        finally:
            _stopped(label, began, outer)

    setattr(owner, name, watched)


def main() -> None:
    gc.disable()
    report, began_at = Path(sys.argv[1]), float(sys.argv[2])
    _SPENT["the interpreter starts"] = (time.time() - began_at) * 1000
    began = time.perf_counter()
    _OPEN.append(0.0)
    import leasehold.orchestrator.cli.run as _run
    from leasehold.orchestrator.cli.program import leave, program
    from leasehold.orchestrator.engine import Engine
    from leasehold.orchestrator.lease import Lease
    from leasehold.orchestrator.owner import Owner
    from leasehold.orchestrator.store.store import Store

    assert _run
    _SPENT["imports"] = (time.perf_counter() - began) * 1000
    opening = Store.open.__func__  # type: ignore[attr-defined]  # a class method's own function

    async def opened(cls: type[Store], *arguments: Any, **named: Any) -> Store:
        outer, _OPEN[-1], at = _OPEN[-1], 0.0, time.perf_counter()
        try:
            store: Store = await opening(cls, *arguments, **named)
            return store
        finally:
            _stopped("the store is opened", at, outer)

    Store.open = classmethod(opened)  # type: ignore[method-assign,assignment]  # a stopwatch around it
    _timed(Owner, "ensure", "the owner is registered")
    for firing in ("attempt", "fire"):
        _timed(Engine, firing, lambda *arguments: f"step {arguments[2]}")
    _timed(Lease, "exec", "the command, and its supervisor")
    _timed(Owner, "close", "the owner is unregistered")
    _timed(Store, "close", "the store is closed")
    began = time.perf_counter()
    code = program(sys.argv[3:])
    _SPENT["arguments, event loop, output, last commits"] = (time.perf_counter() - began - _OPEN[-1]) * 1000
    report.write_text(json.dumps(_SPENT))
    leave(code)


if __name__ == "__main__":
    main()
