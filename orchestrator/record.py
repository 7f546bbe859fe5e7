"""Leases and journal rows as they are shown to scripts: plain JSON values, times in ISO 8601.

The keys are a contract (DESIGN section 13); ``leasehold show --json`` prints exactly these.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.store.encoding import decode
from leasehold.states import Entry

# details of journal rows that are moments, in the store's microseconds
_MOMENTS = ("deadline", "expires_at", "keep_until", "next_try_at")


def lease_record(row: Row) -> dict[str, Any]:
    """One lease."""
    terms, facts, request = row.terms, row.facts, row.terms.request
    pending = None
    if facts.pending_event is not None:
        pending = {
            "event": facts.pending_event,
            "attempt": facts.pending_attempt,
            "since": iso(facts.pending_since),
            "deadline": iso(facts.pending_deadline),
        }
    return {
        "id": terms.id,
        "company_id": request.company_id,
        "run_id": request.run_id,
        "issue_id": request.issue_id,
        "agent_id": request.agent_id,
        "adapter_type": request.adapter_type,
        "environment": {"id": terms.environment_id, "name": terms.environment_name, "driver": terms.driver},
        "provider": terms.provider,
        "provider_lease_id": row.papers["provider_lease_id"],
        "policy": terms.policy.value,
        "mode": None if terms.mode is None else terms.mode.value,
        "state": facts.state.value,
        "status": row.status.value,
        "stuck": None if row.stuck is None else row.stuck.value,
        "cleanup": facts.cleanup.value,
        "error_code": facts.error_code,
        "error_stage": facts.error_stage,
        "error_message": facts.error_message,
        "cleanup_error_code": facts.cleanup_error_code,
        "pending": pending,
        "end_requested": row.end_requested,
        "owner": facts.owner,
        "epoch": facts.epoch,
        "claimed_until": iso(row.alive_until) if row.alive else None,
        "created_at": iso(facts.created_at),
        "acquired_at": iso(facts.acquired_at),
        "expires_at": iso(facts.expires_at),
        "keep_until": iso(facts.keep_until),
        "next_try_at": iso(facts.next_try_at),
        "released_at": iso(facts.ended_at),
        "workspace_realization": decode(row.papers["realization"]),
        "execution_target": decode(row.papers["target"]),
        "metadata": decode(row.papers["metadata"]) or {},
    }


def journal_records(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """A lease's journal, in the order that it is given in."""
    return [
        {
            "seq": entry.seq,
            "at": iso(entry.at),
            "event": entry.event,
            "kind": entry.kind.value,
            "from": entry.source,
            "to": entry.dest,
            "attempt": entry.attempt,
            "owner": entry.owner,
            "epoch": entry.epoch,
            "error_code": entry.error_code,
            "duration_ms": entry.duration_ms,
            "details": _details(entry.details),
        }
        for entry in entries
    ]


def _details(details: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(details)
    for name in _MOMENTS:
        if isinstance(shown.get(name), int):
            shown[name] = iso(shown[name])
    if "kept" in shown:
        shown["kept"] = [{**kept, "until": iso(int(kept["until"] * 1_000_000))} for kept in shown["kept"]]
    return shown
