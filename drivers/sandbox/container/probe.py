"""Whether containers would stand and run at an engine now."""

import asyncio
from collections.abc import Callable

from leasehold.drivers.driver import Health
from leasehold.drivers.looking import Sick, bound, timed
from leasehold.drivers.sandbox.container.config import ContainerConfig
from leasehold.drivers.sandbox.container.engine import Engine, installed
from leasehold.drivers.secret import can_be_read

_BOUND = 20.0

Ask = Callable[[Callable[[], None]], Engine]


async def look_at_engine(ask: Ask) -> Health:
    """Look at the command line and the engine. Leaves nothing."""
    engine = ask(bound("the engine", _BOUND, hint="look at it, or restart it"))
    program = await timed("program", lambda: asyncio.to_thread(_program, engine))
    if not program.ok:
        return Health((program,))
    return Health((program, await timed("engine", lambda: asyncio.to_thread(engine.version))))


async def look(ask: Ask, config: ContainerConfig) -> Health:
    """Look at the engine, the image and the secrets. Leaves nothing, and pulls nothing."""
    health = await look_at_engine(ask)
    if not health.ok:
        return health
    engine = ask(bound("the engine", _BOUND, hint="look at it, or restart it"))
    checks = [*health.checks, await timed("image", lambda: asyncio.to_thread(_image, engine, config.image))]
    if config.variables:
        checks.append(await timed("variables", lambda: asyncio.to_thread(can_be_read, config.variables.values())))
    return Health(tuple(checks))


def _program(engine: Engine) -> str:
    if not installed(engine.kind):
        raise Sick(f"{engine.kind.program} is not installed", engine.kind.install)
    return " ".join(engine.words)


def _image(engine: Engine, image: str) -> str:
    return f"{image} is there" if engine.has_image(image) else f"{image} is not there: the first lease pulls it"
