"""``leasehold env``: environments."""

import json
from typing import Annotated, Any

import typer
from leasehold.drivers import NotInstalled, Registry, Transport
from leasehold.orchestrator.cli.display import emit, fields, out, table
from leasehold.orchestrator.cli.health import health_record, show_health
from leasehold.orchestrator.cli.options import EnvironmentName, Json
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.duration import seconds, spoken
from leasehold.orchestrator.environments import SELECTS, Environment
from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.offer import first_problem
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.states import Policy
from pydantic import ValidationError


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no other environment has.")],
    driver: Annotated[str, typer.Option(metavar="D", help="The driver; leasehold drivers lists them.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the driver; lists and objects as JSON."),
    ] = None,
    policy: Annotated[str, typer.Option(metavar="P", help="What becomes of places after a run.")] = "ephemeral",
    ttl: Annotated[str | None, typer.Option(metavar="T", help="The end of leases that get no --ttl.")] = None,
    max_leases: Annotated[
        int | None, typer.Option(metavar="N", help="It has room for N places at a time; run --wait waits for one.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Make an environment: a named, configured place of one driver. The name of an archived one may be taken up again.

    A secret is never given as a value, but named: env:NAME, file:PATH or cmd:COMMAND.
    """
    config = _parsed(settings or [])
    chosen = _policy(policy)
    end = None if ttl is None else seconds(ttl)
    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        checked = _checked(orchestrator.registry, driver, config, chosen)
        company = orchestrator.settings.company
        made = await orchestrator.environments.add(
            company, name, driver, checked, policy=chosen, ttl=end, max_leases=max_leases
        )
        if as_json:
            emit(made.record())
        else:
            probe = choices.command("env", "probe", made.name)
            out(f"environment {made.name} ({made.driver}) is ready; try it: {probe}")
        return 0

    return perform(context, work, makes=True)


def list_(context: typer.Context, as_json: Json = False) -> int:
    """List the environments of this company."""

    async def work(orchestrator: Orchestrator) -> int:
        rows = await orchestrator.environments.listing(orchestrator.settings.company)
        if as_json:
            emit([row.record() for row in rows])
        elif rows:
            table(
                ("NAME", "DRIVER", "POLICY", "TTL", "STATUS", "ID"),
                [(row.name, row.provider, row.policy, _ttl(row), row.status, row.id) for row in rows],
                folds=("NAME",),
                drops=("ID", "TTL"),
            )
        else:
            out("there is no environment yet; the first leasehold run makes the local one")
        return 0

    return perform(context, work)


def show(context: typer.Context, name: EnvironmentName, as_json: Json = False) -> int:
    """Show one environment."""

    async def work(orchestrator: Orchestrator) -> int:
        found = await orchestrator.environments.get(orchestrator.settings.company, name)
        if as_json:
            emit(found.record())
        else:
            record = found.record()
            fields(
                [
                    *((key, str(record[key])) for key in ("id", "name", "driver", "provider", "policy", "status")),
                    ("ttl", _ttl(found)),
                    ("max leases", "" if found.max_leases is None else str(found.max_leases)),
                    ("created", record["created_at"]),
                    ("updated", record["updated_at"]),
                    *((f"set {key}", _written(value)) for key, value in sorted(found.config.items())),
                ]
            )
        return 0

    return perform(context, work)


def probe(context: typer.Context, name: EnvironmentName, as_json: Json = False) -> int:
    """Ask the driver whether a place of this environment would work now. Exit code 1: it would not."""

    async def work(orchestrator: Orchestrator) -> int:
        found = await orchestrator.environments.get(orchestrator.settings.company, name)
        driver = orchestrator.registry.get(found.provider)
        try:
            config = driver.Config.model_validate(found.driver_config)
        except ValidationError as error:
            raise WrongUsage(f'config of environment "{name}": {first_problem(error)}') from error
        health = await driver.probe(config)
        if as_json:
            emit(health_record(health))
        else:
            show_health(health)
        return 0 if health.ok else 1

    return perform(context, work)


def archive(context: typer.Context, name: EnvironmentName, as_json: Json = False) -> int:
    """Stop new leases of an environment, and end the places parked there. What is leased goes on to its end.

    Every run that names it fails from then on, and of the local one every run that names none. The way back is
    leasehold env add with its name and all its settings.
    """

    async def work(orchestrator: Orchestrator) -> int:
        archived = await orchestrator.archive(name)
        if as_json:
            emit(archived.record())
        else:
            out(f"environment {archived.name} is archived: it takes no new leases")
        return 0

    return perform(context, work, seconds=None)


def _parsed(settings: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise WrongUsage("--set takes KEY=VALUE", hint="as in --set root=/srv/places")
        if key in config:
            raise WrongUsage(f"--set {key} was given twice")
        config[key] = _value(key, text)
    return config


def _value(key: str, text: str) -> Any:
    """Text, but JSON where it can be nothing else; the driver's own config makes numbers of text."""
    if text in ("true", "false", "null"):
        return json.loads(text)
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise WrongUsage(f"--set {key}: the value begins like JSON and is none: {error}") from None


def _checked(registry: Registry, driver: str, config: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """The config as it is stored. Raises ``WrongUsage`` for what the driver would refuse at every lease."""
    provider, own, selected = driver, dict(config), dict[str, str]()
    if driver in SELECTS:
        setting, default = SELECTS[driver]
        provider = str(own.pop(setting, default))
        if not provider:
            hint = "leasehold drivers lists what is installed"
            raise WrongUsage(f"--driver {driver} needs --set {setting}=NAME", hint=hint)
        selected = {setting: provider}
    try:
        found = registry.get(provider)
    except NotInstalled as error:
        raise WrongUsage(str(error), hint=error.hint) from error
    try:
        model = found.Config.model_validate(own)
    except ValidationError as error:
        known = ", ".join(sorted(found.Config.model_fields)) or "none"
        raise WrongUsage(f"--set {first_problem(error)}", hint=f"settings of {provider}: {known}") from error
    offer = found.capabilities(model)
    if driver == Transport.SANDBOX and offer.transport is not Transport.SANDBOX:
        raise WrongUsage(f"{provider} is no sandbox", hint=f"use --driver {provider}")
    lacks = (policy is Policy.RETAIN_ON_FAILURE and not offer.keeps) or (policy.reuses and not offer.parks)
    if lacks:
        raise WrongUsage(f"driver {provider} cannot do policy {policy}", hint="leasehold drivers shows what it can")
    stored = model.model_dump(mode="json", exclude_unset=True)
    return {**selected, **stored}


def _policy(name: str) -> Policy:
    try:
        return Policy(name)
    except ValueError:
        raise WrongUsage(f"there is no policy {name!r}", hint=f"use one of: {', '.join(Policy)}") from None


def _ttl(environment: Environment) -> str:
    return "" if environment.ttl is None else spoken(environment.ttl)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
