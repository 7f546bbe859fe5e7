"""``leasehold db``: the store's version."""

import asyncio
from typing import Annotated

import typer
from leasehold.drivers.shown import counted
from leasehold.orchestrator.cli.display import emit, out
from leasehold.orchestrator.cli.options import Json
from leasehold.orchestrator.cli.replay import planned
from leasehold.orchestrator.cli.session import choices_of, perform, settings_of
from leasehold.orchestrator.cli.sweep import record
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.store.migration import HEAD, suits
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.store.url import shown_url


def upgrade(context: typer.Context) -> int:
    """Create the store, or bring it to the version of this Leasehold. Commands that make something do so too."""

    async def work(orchestrator: Orchestrator) -> int:
        out(f"the store {shown_url(orchestrator.settings.store_url())} is at version {HEAD}")
        return 0

    return perform(context, work, seconds=None, makes=True)


def current(context: typer.Context, as_json: Json = False) -> int:
    """Say which version the store is at, and change nothing. Exit code 1: this Leasehold does not work with it."""
    settings = settings_of(choices_of(context))
    url = settings.store_url()
    version = asyncio.run(Store.version_at(url, patience=settings.store_patience_seconds, prefix=settings.table_prefix))
    if as_json:
        emit({"store": shown_url(url), "version": version, "head": HEAD})
    elif version is None:
        out(f"there is no store at {shown_url(url)}; leasehold db upgrade makes it")
    elif version == HEAD:
        out(f"the store {shown_url(url)} is at version {version}, which is this Leasehold's")
    elif suits(version):
        out(f"the store {shown_url(url)} is at version {version}, with which this Leasehold ({HEAD}) works, too")
    else:
        what = "install a newer Leasehold" if version > HEAD else "leasehold db upgrade brings it there"
        out(f"the store {shown_url(url)} is at version {version}, this Leasehold's is {HEAD}; {what}")
    return 0 if version is not None and suits(version) else 1


def restored(
    context: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply", help="Begin the new incarnation and settle every open lease.")
    ] = False,
    as_json: Json = False,
) -> int:
    """After the store was restored from a backup: bring it and what stands outside together again.

    Lists every open lease with its plan, and whose each place is that the drivers list. With --apply a new
    incarnation begins, whose epochs are above all that places have seen, and every open lease is settled;
    places of leases that the backup did not have are then left for leasehold sweep --unknown.
    """

    async def work(orchestrator: Orchestrator) -> int:
        done = await orchestrator.restored(apply=apply)
        if as_json:
            leases = [{"lease_id": each.lease_id, "done": each.done, "outcome": each.outcome} for each in done.leases]
            places = [record(place) for place in done.places]
            emit({"applied": apply, "incarnation": done.incarnation, "leases": leases, "places": places})
        else:
            for place in done.places:
                out(str(place))
            for lease in done.leases:
                for line in planned(lease) if lease.rows and not apply else [lease.outcome]:
                    out(f"lease {lease.lease_id}: {line}")
            what = "has begun" if apply else "would begin with --apply"
            standing = sum(bool(place.place) for place in done.places)
            unasked = len(done.places) - standing
            told = [counted(len(done.leases), "open lease"), counted(standing, "place")]
            told += [f"{counted(unasked, 'driver')} could not be asked"] if unasked else []
            out(f"{', '.join(told)}; a new incarnation {what}")
        return 0 if not apply or all(lease.done for lease in done.leases) else 1

    return perform(context, work, seconds=None)
