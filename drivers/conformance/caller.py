"""A caller that is killed: plays a place's life up to one point, and dies there by SIGKILL.

Run as ``python -m leasehold.drivers.conformance.caller`` with a ``Script`` as JSON on its standard input.
It writes the seconds that each verb took as one JSON object, unless it dies before.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from leasehold.drivers.command import Command
from leasehold.drivers.conformance.suite import load
from leasehold.drivers.context import Context
from leasehold.drivers.place import PlaceRequest, ReleaseMode, Tags
from leasehold.drivers.workspace import Workspace

T = TypeVar("T")
Verb: TypeAlias = Literal["acquire", "realize", "target", "execute", "release", "destroy"]


@dataclass(frozen=True, slots=True)
class Script:
    """A life, and where it ends: ``after`` seconds into ``verb``; 0 just before, -1 just after it.

    ``verb`` is none for a life without a death. A command is not left by the clock: an ``after`` above 0
    is at its first output, which is its process id and is written out.
    """

    driver: str
    config: dict[str, Any]
    workspace: dict[str, Any]
    tags: dict[str, Any]
    state_folder: str
    verb: Verb | None = None
    after: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class _Life:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.took: dict[str, float] = {}

    async def verb(self, name: Verb, verb: Awaitable[T]) -> T:
        """Await one verb, and die before, in or after it where the script says so."""
        fatal = name == self.script.verb
        after = self.script.after
        if fatal and after == 0.0:
            _die()
        if fatal and after > 0.0 and name != "execute":
            threading.Timer(after, _die).start()
        started = time.monotonic()
        answer = await verb
        self.took[name] = time.monotonic() - started
        if fatal:
            _die()
        return answer


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _command(script: Script) -> Command:
    if script.verb != "execute" or script.after <= 0.0:
        return Command(("sh", "-c", "exit 0"), timeout=30)

    def tell_and_die(_: str, data: bytes) -> None:
        os.write(sys.stdout.fileno(), data)
        _die()

    return Command(("sh", "-c", "echo $$; exec sleep 600"), timeout=60, on_output=tell_and_die)


async def live(script: Script) -> dict[str, float]:
    """A place's life from acquire to release; the seconds that each verb took."""
    driver = load(script.driver)
    tags, workspace = Tags(**script.tags), Workspace.from_json(script.workspace)
    context = Context(
        config=driver.Config.model_validate(script.config),
        deadline=time.monotonic() + 60,
        epoch=tags.epoch,
        ledger=tags.ledger,
        lease_id=tags.lease_id,
        state_folder=Path(script.state_folder),
    )
    life = _Life(script)
    request = PlaceRequest("conformance", tags.lease_id, "run", workspace)
    handle = await life.verb("acquire", driver.acquire(tags.key, request, tags, context))
    realization = await life.verb("realize", driver.realize(handle, workspace, context))
    target = await life.verb("target", driver.target(handle, realization, context))
    await life.verb("execute", target.execute(_command(script)))
    await target.close()
    if script.verb == "destroy":
        for resource in [found async for found in driver.owned(tags.ledger, context)]:
            await life.verb("destroy", driver.destroy(resource, context))
    await life.verb("release", driver.release(handle, ReleaseMode.DESTROY, context))
    return life.took


def main() -> None:
    """Read the script, and live."""
    script = Script(**json.load(sys.stdin))
    sys.stdout.write(json.dumps(asyncio.run(live(script))))


if __name__ == "__main__":
    main()
