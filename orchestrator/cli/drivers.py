"""``leasehold drivers``: what each driver can do, and whether one does it."""

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from leasehold.drivers import Capabilities, Listed, Mode, NotInstalled, Registry
from leasehold.orchestrator.cli.display import emit, out, table
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.session import choices_of, perform, settings_of
from leasehold.orchestrator.environments import Environment
from leasehold.orchestrator.errors import NoSuch, StoreAbsent, WrongUsage
from leasehold.orchestrator.orchestrator import Orchestrator
from pydantic import ValidationError

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


def drivers(context: typer.Context, as_json: Json = False) -> int:
    """What each installed driver can do, with its default settings. drivers check tests one."""
    if context.invoked_subcommand is not None:
        return 0
    settings_of(choices_of(context))
    registry = Registry()
    rows = [(listed, _offer(registry, listed)) for listed in registry.listing()]
    if as_json:
        emit([_record(listed, offer) for listed, offer in rows])
    else:
        table(
            ("DRIVER", "FROM", "MODES", "CAN", "WHAT IT IS"),
            [
                (listed.name, listed.source, _modes(offer), _can(offer), listed.problem or _summary(offer))
                for listed, offer in rows
            ],
            folds=("MODES", "CAN", "WHAT IT IS"),
            drops=("FROM",),
        )
    return 0


def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="An environment, or a driver with default settings.")],
    mode: Annotated[str | None, typer.Option(metavar="M", help="The mode to test; none: the driver's first.")] = None,
    as_json: Json = False,
) -> int:
    """Run the conformance suite against an environment: places are made, used, and ended there.

    Exit code 1: a rule is broken.
    """
    from leasehold.drivers.conformance import DriverConformance, verdicts

    provider, config = _tested(context, name)
    chosen = None if mode is None else _mode(mode)

    class Tested(DriverConformance):
        driver = provider

        def config(self, folder: Path) -> dict[str, Any]:
            return dict(config)

    Tested.mode = chosen
    found: list[dict[str, Any]] = []
    for verdict in verdicts(Tested()):
        found.append(asdict(verdict))
        if not as_json:
            said = f": {verdict.detail}" if verdict.detail else ""
            out(f"{_MARKS[verdict.outcome]:<8} {verdict.group}: {verdict.name} ({verdict.seconds:.1f} s){said}")
            sys.stdout.flush()
    failed = sum(verdict["outcome"] == "failed" for verdict in found)
    if as_json:
        emit(found)
    else:
        out(f"{len(found)} rules, {failed} broken")
    return 1 if failed else 0


def _tested(context: typer.Context, name: str) -> tuple[str, dict[str, Any]]:
    """The driver to test, and its settings."""
    found: list[Environment] = []

    async def work(orchestrator: Orchestrator) -> int:
        rows = await orchestrator.environments.listing(orchestrator.settings.company)
        found.extend(row for row in rows if name in (row.name, row.id))
        return 0

    with suppress(StoreAbsent):  # where there is no store there are drivers all the same
        perform(context, work)
    if found:
        return found[0].provider, found[0].driver_config
    try:
        Registry().get(name)
    except NotInstalled as error:
        raise NoSuch(f"there is no environment {name}, and {error}", hint=error.hint) from error
    return name, {}


def _offer(registry: Registry, listed: Listed) -> Capabilities | None:
    """What the driver can do with its default settings; none where it has none, or cannot be loaded."""
    if listed.problem is not None:
        return None
    driver = registry.get(listed.name)
    try:
        return driver.capabilities(driver.Config.model_validate({}))
    except ValidationError:
        return None


def _record(listed: Listed, offer: Capabilities | None) -> dict[str, Any]:
    capabilities = None if offer is None else asdict(offer)
    return {"name": listed.name, "source": listed.source, "problem": listed.problem, "capabilities": capabilities}


def _modes(offer: Capabilities | None) -> str:
    return "" if offer is None else " ".join(offer.modes)


def _can(offer: Capabilities | None) -> str:
    if offer is None:
        return ""
    able = {"keep": offer.keeps, "park": offer.parks, "sync back": offer.syncs_back, "tag": offer.tagged}
    return ", ".join([*(name for name, can in able.items() if can), f"fencing {offer.fencing}"])


def _summary(offer: Capabilities | None) -> str:
    return "needs settings: leasehold env add --set" if offer is None else offer.summary


def _mode(name: str) -> Mode:
    try:
        return Mode(name)
    except ValueError:
        raise WrongUsage(f"there is no mode {name!r}", hint=f"use one of: {', '.join(Mode)}") from None
