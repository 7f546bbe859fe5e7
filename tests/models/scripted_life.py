"""A scripted place's life, as far as tests need it."""

import time
from pathlib import Path
from typing import Any

from leasehold.drivers import Context, Handle, Mode, PlaceRequest, Realization, Tags, Workspace
from leasehold.drivers.scripted import Fault, ScriptedConfig, ScriptedDriver, ScriptedTarget

KEY = "ledger-lease-1"
WORKSPACE = Workspace(Path("/work/tree"), Mode.COPY)
REQUEST = PlaceRequest("company", "lease", "run", WORKSPACE)


def tags(key: str = KEY, epoch: int = 1) -> Tags:
    return Tags("ledger", "lease", key, epoch, 0)


def context(config: ScriptedConfig | None = None, *, epoch: int = 1, seconds: float = 10.0) -> Context:
    return Context(
        config=config or ScriptedConfig(),
        deadline=time.monotonic() + seconds,
        epoch=epoch,
        ledger="ledger",
        lease_id="lease",
        state_folder=Path("/nowhere"),
    )


def scripted(*faults: Fault, **fields: Any) -> ScriptedConfig:
    return ScriptedConfig(script=faults, **fields)


async def acquired(driver: ScriptedDriver, config: ScriptedConfig | None = None) -> Handle:
    return await driver.acquire(KEY, REQUEST, tags(), context(config))


async def realized(driver: ScriptedDriver, config: ScriptedConfig | None = None) -> tuple[Handle, Realization]:
    handle = await acquired(driver, config)
    return handle, await driver.realize(handle, WORKSPACE, context(config))


async def target(driver: ScriptedDriver, config: ScriptedConfig, **given: Any) -> ScriptedTarget:
    handle, realization = await realized(driver, config)
    return await driver.target(handle, realization, context(config, **given))
