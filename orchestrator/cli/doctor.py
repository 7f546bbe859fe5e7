"""``leasehold doctor``: what works on this machine, and how to mend what does not."""

import asyncio
import platform
from collections.abc import AsyncIterator
from importlib.metadata import version

import typer
from leasehold.drivers import Check, Health, Registry
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.health import health_record, show_health
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import choices_of, settings_of
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.migration import HEAD, suits
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.url import shown_url
from pydantic import ValidationError

_PROBE_SECONDS = 30.0


def doctor(context: typer.Context, as_json: Json = False) -> int:
    """Say what works on this machine, and how to mend what does not. Exit code 1: something does not."""
    settings = settings_of(choices_of(context))
    health = Health(tuple(asyncio.run(_examined(settings))))
    if as_json:
        emit(health_record(health))
        return 0 if health.ok else 1
    show_health(health)
    out("")
    sick = [check.name for check in health.checks if not check.ok]
    out(f"does not work: {', '.join(sick)}" if sick else "all of this works")
    return 1 if sick else 0


async def _examined(settings: Settings) -> list[Check]:
    return [_leasehold(), await _store(settings), *[check async for check in _drivers()]]


def _leasehold() -> Check:
    detail = f"{version('leasehold')} on Python {platform.python_version()}, {platform.platform(terse=True)}"
    ok = platform.system() in ("Linux", "Darwin")
    return Check("leasehold", ok, detail, "" if ok else "use Linux or macOS")


async def _store(settings: Settings) -> Check:
    url = settings.store_url()
    try:
        at = await Store.version_at(url, patience=settings.store_patience_seconds, prefix=settings.table_prefix)
    except StoreError as error:
        return Check("store", False, f"{shown_url(url)}: {error}", error.hint)
    if at is None:
        return Check("store", True, f"{shown_url(url)}: not there yet; the first run makes it")
    if at > HEAD and not suits(at):
        return Check(
            "store", False, f"{shown_url(url)}: at version {at}, newer than {HEAD}", "install a newer Leasehold"
        )
    return Check("store", True, f"{shown_url(url)}: at version {at}")


async def _drivers() -> AsyncIterator[Check]:
    registry = Registry()
    for listed in registry.listing():
        if listed.problem is not None:
            yield Check(listed.name, False, listed.problem, "mend or remove its package")
            continue
        driver = registry.get(listed.name)
        try:
            config = driver.Config.model_validate({})
        except ValidationError:
            yield Check(listed.name, True, "installed; it needs settings: leasehold env probe tells of an environment")
            continue
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                health = await driver.probe(config)
        except TimeoutError:
            yield Check(listed.name, False, f"gave no answer within {_PROBE_SECONDS:g} s")
            continue
        for check in health.checks:
            name = listed.name if check.name == listed.name else f"{listed.name}: {check.name}"
            yield Check(name, check.ok, check.detail, check.mend, check.duration)
