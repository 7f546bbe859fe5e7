"""``leasehold ls``, ``show`` and ``journal``: looking at leases."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from leasehold.drivers.shown import shown
from leasehold.orchestrator.arguments import member
from leasehold.orchestrator.cli.aftermath import Aftermath, aftermath
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import emit, fields, out, table, when
from leasehold.orchestrator.cli.options import Json, LeaseId
from leasehold.orchestrator.cli.session import choices_of, perform
from leasehold.orchestrator.duration import spoken
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.record import journal_records, lease_record
from leasehold.states import CleanupState, LeaseState, Status

_SHOWN = 200
_ALL = 1_000_000


def ls(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(metavar="S", help="Only leases in this state.")] = None,
    status: Annotated[str | None, typer.Option(metavar="S", help="Only leases of this status.")] = None,
    env: Annotated[str | None, typer.Option(metavar="E", help="Only leases of this environment.")] = None,
    run: Annotated[str | None, typer.Option(metavar="R", help="Only leases of this run.")] = None,
    stuck: Annotated[bool, typer.Option("--stuck", help="Only leases that need help; says why, and which.")] = False,
    as_json: Json = False,
) -> int:
    """List leases, newest first."""
    in_state = None if state is None else member(LeaseState, state, "state")
    of_status = None if status is None else member(Status, status, "status")
    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        rows = await orchestrator.ledger.listing(
            orchestrator.settings.company,
            state=in_state,
            status=of_status,
            environment=env,
            run_id=run,
            stuck=stuck,
            limit=_ALL if as_json else _SHOWN + 1,
        )
        if as_json:
            emit([lease_record(row) for row in rows])
        elif stuck:
            await _show_stuck(orchestrator, rows[:_SHOWN], choices)
        elif rows:
            table(
                ("LEASE", "ENV", "RUN", "STATE", "STATUS", "AGE", "WHY"),
                [
                    (
                        row.terms.id,
                        row.terms.environment_name,
                        row.terms.request.run_id,
                        row.facts.state,
                        row.status,
                        _age(row),
                        _why(row),
                    )
                    for row in rows[:_SHOWN]
                ],
                folds=("ENV", "RUN", "WHY"),
                drops=("RUN", "ENV", "AGE", "STATE"),
            )
        else:
            out("no lease fits")
        if len(rows) > _SHOWN and not as_json:
            out(f"these are the newest {_SHOWN}; --json lists them all")
        return 0

    return perform(context, work)


def show(
    context: typer.Context,
    lease: LeaseId,
    with_journal: Annotated[bool, typer.Option("--journal", help="Also what happened to it.")] = False,
    as_json: Json = False,
) -> int:
    """Show one lease."""
    choices = choices_of(context)

    async def work(orchestrator: Orchestrator) -> int:
        row = await orchestrator.ledger.find(orchestrator.settings.company, lease)
        record = lease_record(row)
        journal = journal_records(await orchestrator.journal(row.terms.id)) if with_journal else []
        if as_json:
            emit({**record, "journal": journal} if with_journal else record)
            return 0
        _show(record, await aftermath(orchestrator, row), choices)
        if with_journal:
            out("")
            _show_journal(journal)
        return 0

    return perform(context, work)


def journal(context: typer.Context, lease: LeaseId, as_json: Json = False) -> int:
    """Show what happened to one lease, oldest first."""

    async def work(orchestrator: Orchestrator) -> int:
        rows = journal_records(await orchestrator.journal(lease))
        if as_json:
            emit(rows)
        else:
            _show_journal(rows)
        return 0

    return perform(context, work)


async def _show_stuck(orchestrator: Orchestrator, rows: Sequence[Row], choices: Choices) -> None:
    if not rows:
        out("no lease is stuck")
    for row in rows:
        why = row.stuck
        assert why is not None
        out(f"{row.terms.id}  {row.facts.state}  {why}: {why.gloss}")
        if row.facts.pending_event is not None:
            out(f"  open step: {row.facts.pending_event}")
        if row.facts.cleanup_error_code is not None:
            left = await aftermath(orchestrator, row)
            out(f"  last try: {_joined(row.facts.cleanup_error_code, shown(left.message))}")
            if left.way_out(choices):
                out(f"  {left.way_out(choices)}")
        out(f"  {choices.command('replay', row.terms.id)}")


def _show(record: dict[str, Any], left: Aftermath, choices: Choices) -> None:
    row, request = left.row, left.row.terms.request
    environment, pending = record["environment"], record["pending"]
    realization: dict[str, Any] = record["workspace_realization"] or {}
    holder = None
    if row.alive:
        until = "which is gone; its claim holds until" if row.owner_gone else "alive until"
        holder = f"process {row.owner_pid} on {row.owner_host}, {until} {when(row.alive_until)}"
    elif row.facts.state.live:
        holder = "none" if row.facts.owner is None else "lost"
    fields(
        [
            ("lease", record["id"]),
            ("status", record["status"]),
            ("state", record["state"]),
            ("stuck", None if row.stuck is None else f"{row.stuck}: {row.stuck.gloss}"),
            ("error", _joined(record["error_code"], record["error_message"])),
            ("failed at", record["error_stage"]),
            ("cleanup", _cleanup(left)),
            *((("last try", left.message), ("way out", left.way_out(choices))) if left.owed else ()),
            *(("noted", note) for note in left.notes),
            *(("changes kept", line) for line in left.kept_lines()),
            ("run", record["run_id"]),
            ("issue", record["issue_id"]),
            ("agent", record["agent_id"]),
            ("adapter", record["adapter_type"]),
            ("environment", _joined(environment["name"] or request.environment, environment["driver"])),
            ("provider", record["provider"] if record["provider"] != environment["driver"] else None),
            ("workspace", request.workspace),
            ("mode", record["mode"]),
            ("policy", record["policy"]),
            ("place", record["provider_lease_id"]),
            ("works in", realization.get("cwd")),
            ("open step", None if pending is None else f"{pending['event']} since {when(row.facts.pending_since)}"),
            ("asked to", None if row.end_requested is None else str(row.end_requested["end"])),
            ("owner", holder),
            ("created", when(row.facts.created_at)),
            ("acquired", when(row.facts.acquired_at)),
            ("ended", when(row.facts.ended_at)),
            ("expires", when(row.facts.expires_at) if row.facts.state.live else None),
            ("kept until", when(row.facts.keep_until)),
            ("next try", when(row.facts.next_try_at)),
        ]
    )


def _show_journal(rows: list[dict[str, Any]]) -> None:
    today = datetime.now(UTC).date().isoformat()
    table(
        ("#", "AT (UTC)", "EVENT", "", "TO", "TOOK", "DETAILS"),
        [
            (
                str(row["seq"]),
                row["at"][:-1].removeprefix(f"{today}T").replace("T", " "),
                row["event"],
                row["kind"],
                row["to"] if row["to"] != row["from"] else "",
                "" if row["duration_ms"] is None else spoken(row["duration_ms"] / 1000),
                _details(row),
            )
            for row in rows
        ],
        folds=("DETAILS",),
        drops=("TOOK", "TO", "#"),
    )


_TOLD = (
    *("message", "summary", "passed_over", "resumed", "created", "replaced", "open_with"),
    *("why", "reason", "by", "from", "to"),
)


def _details(row: dict[str, Any]) -> str:
    """What a person wants to know of a row's details."""
    details = row["details"]
    said = [str(row["error_code"])] if row["error_code"] else []
    for name in _TOLD:
        if details.get(name):
            spoken_name = "" if name in ("message", "summary", "why") else f"{name.replace('_', ' ')}: "
            said.append(f"{spoken_name}{details[name]}")
    said += [f"kept {kept['where']}" for kept in details.get("kept", ())]
    said += [str(note) for note in details.get("notes", ())]
    return "; ".join(said)


def _age(row: Row) -> str:
    return spoken(max(0, row.now - (row.facts.created_at or row.now)) / 1_000_000)


def _why(row: Row) -> str:
    if row.stuck is not None:
        return f"stuck: {row.stuck}"
    if row.facts.cleanup is CleanupState.PARKED and row.facts.keep_until is not None:
        return f"parked until {iso(row.facts.keep_until)}"
    return row.facts.error_code or ""


def _cleanup(left: Aftermath) -> str:
    """The cleanup, and the code of a try that failed, which stands on it for good."""
    facts = left.row.facts
    if facts.cleanup_error_code is None:
        return facts.cleanup.value
    if not facts.cleanup.open or facts.keep_until is not None:
        return f"{facts.cleanup} after {_tries(facts.cleanup_tries)} that failed ({facts.cleanup_error_code})"
    return f"{facts.cleanup} ({_tries(facts.cleanup_tries)}): {facts.cleanup_error_code}"


def _tries(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"


def _joined(first: str | None, second: str | None) -> str | None:
    return f"{first}: {second}" if first and second else first
