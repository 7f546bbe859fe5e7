"""``leasehold doctor``: what works on this machine, and how to mend what does not.

A driver is needed where an active environment uses it, and ``local`` always is. Of the others it is told
what they lack here and how to have it, and nothing is sick for that.
"""

import asyncio
import platform
from collections.abc import AsyncIterator, Iterator, Set
from dataclasses import replace
from importlib.metadata import version

import typer
from leasehold.drivers import Check, Health, KnowsMachine, Registry
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.health import health_record, show_health
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import choices_of, settings_of
from leasehold.orchestrator.environments import LOCAL, Environments, EnvironmentStatus
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.migration import HEAD, suits
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.url import shown_url
from pydantic import ValidationError

_PROBE_SECONDS = 30.0


def doctor(context: typer.Context, as_json: Json = False) -> int:
    """Say what works on this machine, and how to mend what does not.

    Exit code 1: something does not that is needed. What no environment uses may be missing.
    """
    settings = settings_of(choices_of(context))
    health = Health(tuple(asyncio.run(_examined(settings))))
    if as_json:
        emit(health_record(health))
        return 0 if health.ok else 1
    show_health(health)
    out("")
    sick = [check.name for check in health.checks if not (check.ok or check.optional)]
    out(f"does not work: {', '.join(sick)}" if sick else "all that is needed works")
    return 1 if sick else 0


async def _examined(settings: Settings) -> list[Check]:
    store = await _store(settings)
    used = await _used(settings) if store.ok else frozenset[str]()
    drivers = [check async for check in _drivers(settings, {LOCAL, *used})]
    return [_leasehold(), *_settings(settings), store, *drivers]


def _leasehold() -> Check:
    detail = f"{version('leasehold')} on Python {platform.python_version()}, {platform.platform(terse=True)}"
    ok = platform.system() in ("Linux", "Darwin")
    return Check("leasehold", ok, detail, "" if ok else "use Linux or macOS")


def _settings(settings: Settings) -> Iterator[Check]:
    """Where settings and state are, and each variable that was meant to be a setting and is none."""
    file, folder = Settings.file(), settings.state_folder.absolute()
    read = "" if file.exists() else ", which is not there"
    yield Check("settings", True, f"LEASEHOLD_* variables, then {file}{read}; state folder {folder}")
    for name in Settings.slips():
        nearest = Settings.nearest(name.upper().removeprefix("LEASEHOLD_"))
        mend = f"mean LEASEHOLD_{nearest.upper()}, or unset it" if nearest else "unset it"
        yield Check(name, False, "there is no such setting: the variable does nothing", mend, optional=True)


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


async def _used(settings: Settings) -> frozenset[str]:
    """The drivers and providers of the store's active environments; none where the store is not of this version."""
    url, prefix, patience = settings.store_url(), settings.table_prefix, settings.store_patience_seconds
    try:
        if await Store.version_at(url, patience=patience, prefix=prefix) != HEAD:
            return frozenset()
        store = await Store.open(url, patience=patience, prefix=prefix, make=False)
    except StoreError:
        return frozenset()
    try:
        rows = await Environments(store).everywhere()
    finally:
        await store.close()
    return frozenset(row.provider for row in rows if row.status is EnvironmentStatus.ACTIVE)


async def _drivers(settings: Settings, used: Set[str]) -> AsyncIterator[Check]:
    registry = Registry(state_folder=settings.state_folder)
    for listed in registry.listing():
        if listed.problem is not None:
            yield Check(
                listed.name, False, listed.problem, "mend or remove its package", optional=listed.name not in used
            )
            continue
        driver = registry.get(listed.name)
        try:
            asked = driver.probe(driver.Config.model_validate({}))
        except ValidationError:
            if not isinstance(driver, KnowsMachine):
                said = "installed; it needs settings: leasehold env probe tells of an environment"
                yield Check(listed.name, True, said)
                continue
            asked = driver.machine()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                health = await asked
        except TimeoutError:
            said = f"gave no answer within {_PROBE_SECONDS:g} s"
            yield Check(listed.name, False, said, optional=listed.name not in used)
            continue
        for check in health.checks:
            name = listed.name if check.name == listed.name else f"{listed.name}: {check.name}"
            yield replace(check, name=name, optional=listed.name not in used)
