"""How a command ended, as an exit code and in words; and what is left to say of an ended lease."""

import shlex
from collections.abc import Sequence

from leasehold.drivers import Outcome, Result
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import when
from leasehold.orchestrator.cli.failure import LIFECYCLE_FAILED, say, warn
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.record import journal_records, lease_record
from leasehold.states import CleanupState

_TIMED_OUT = 124
_NEVER_RAN = {"not_executable": 126, "not_found": 127}


def exit_code(result: Result) -> int:
    """The exit code that stands for a command's end."""
    if result.error is not None:
        return _NEVER_RAN.get(result.error, LIFECYCLE_FAILED)
    match result.outcome:
        case Outcome.EXITED if result.signal is not None:
            return 128 + result.signal
        case Outcome.EXITED if result.exit_code is not None:
            return result.exit_code
        case Outcome.TIMED_OUT:
            return _TIMED_OUT
        case _:
            return LIFECYCLE_FAILED


def in_words(result: Result, argv: Sequence[str]) -> str:
    """How a command failed, in one line."""
    if result.error == "not_found":
        return f"{argv[0]}: command not found"
    if result.error is not None:
        return f"{argv[0]}: {result.error.replace('_', ' ')}"
    match result.outcome:
        case Outcome.TIMED_OUT:
            return f"the command timed out after {result.duration:.1f} s"
        case Outcome.TARGET_LOST:
            return f"the place was lost while the command ran{f': {result.lost}' if result.lost else ''}"
        case Outcome.CANCELLED:
            return "the command was ended"
        case Outcome.EXITED if result.signal is not None:
            return f"the command was ended by signal {result.signal}"
        case Outcome.EXITED:
            return f"the command exited with {result.exit_code}"


def tell_never_ran(result: Result, argv: Sequence[str]) -> None:
    """Say why a command gave no exit code of its own, where nobody else has said it."""
    if result.error is not None or result.outcome is not Outcome.EXITED:
        code = "" if exit_code(result) != LIFECYCLE_FAILED else "run_failed: "
        say(f"error: {code}{in_words(result, argv)}")


async def tell_what_is_left(orchestrator: Orchestrator, lease_id: str, choices: Choices) -> Row:
    """Say where a place or changes were kept and what opens them, or that the cleanup failed."""
    row = await orchestrator.ledger.find(orchestrator.settings.company, lease_id)
    journal = journal_records(await orchestrator.journal(row.terms.id))
    for entry in journal:
        if entry["event"] == "clean" and entry["kind"] == "done":
            for kept in entry["details"].get("kept", ()):
                say(f"changes are kept in {kept['where']} until {kept['until']}; see them: {kept['how']}")
    match row.facts.cleanup:
        case CleanupState.FAILED | CleanupState.PENDING if not row.facts.state.live and not row.facts.pending_event:
            tries = [entry["details"] for entry in journal if entry["kind"] in ("failed", "abandoned")]
            why = next((str(tried[key]) for tried in tries[::-1] for key in ("message", "why") if key in tried), "")
            warn(
                f"the place is not cleaned up: {why or row.facts.cleanup_error_code or row.facts.cleanup.value}",
                f"try again: {command(choices, 'release', row.terms.id)}",
            )
        case CleanupState.RETAINED:
            realization = lease_record(row)["workspace_realization"]
            where = row.papers["provider_lease_id"] if realization is None else realization["cwd"]
            say(
                f"the place is kept until {when(row.facts.keep_until)} in {where}; "
                f"open it: {command(choices, 'shell', row.terms.id)}"
            )
        case _:
            pass
    return row


def command(choices: Choices, name: str, *arguments: str) -> str:
    """A command of ours that somebody may paste."""
    store = () if choices.store is None else ("--store", choices.store)
    return shlex.join(("leasehold", *store, name, *arguments))
