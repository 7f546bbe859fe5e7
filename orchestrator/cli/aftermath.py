"""What became of a lease's place, in lines for a person: what was kept, what was noted, what does not succeed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.drivers import Mode
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.display import when
from leasehold.orchestrator.cli.failure import joined
from leasehold.orchestrator.ledger import Row
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.record import journal_records, lease_record
from leasehold.states import CLEANUP_EVENTS, DUE, CleanupState

_MANY = 3  # tries that failed: it may be one that can never succeed

_LOST = "the place was gone already: what was changed there could not be kept"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A lease's row, and what its journal says of the end of its place.

    Attributes:
        kept: changes that were kept: ``where``, ``until``, and ``how`` to see them.
        notes: what the driver noted when it ended the place.
        message: why the last try failed, or does not know; empty where none did.
    """

    row: Row
    kept: Sequence[dict[str, Any]]
    notes: Sequence[str]
    message: str

    @property
    def owed(self) -> bool:
        """Whether the lease has ended, its place has not, and nobody is at it."""
        facts = self.row.facts
        return not facts.state.live and not facts.pending_event and facts.cleanup in DUE

    def kept_lines(self) -> list[str]:
        """Where changes are, and how to see them."""
        return [f"{kept['where']} until {kept['until']}; see them: {kept['how']}" for kept in self.kept]

    def way_out(self, choices: Choices) -> str:
        """How to leave a place be that has failed to end several times; empty before that."""
        if not self.owed or self.row.facts.cleanup_tries < _MANY:
            return ""
        forget = choices.command("forget", self.row.terms.id, "--reason", "WHY")
        return f"if it can never succeed: {forget}"

    def lines(self, choices: Choices) -> list[str]:
        """What is left to say once the lease has ended."""
        row = self.row
        said = [f"note: {note}" for note in self.notes]
        said += [f"changes are kept in {line}" for line in self.kept_lines()]
        if self.owed:
            why = self.message or row.facts.cleanup_error_code or row.facts.cleanup.value
            hints = (f"try again: {choices.command('release', row.terms.id)}", self.way_out(choices))
            hint = "; ".join(hint for hint in hints if hint)
            said.append(f"warning: {joined(f'the place is not cleaned up: {why}', hint)}")
        elif row.facts.cleanup is CleanupState.RETAINED:
            realization = lease_record(row)["workspace_realization"]
            where = row.papers["provider_lease_id"] if realization is None else realization["cwd"]
            opens = choices.command("shell", row.terms.id)
            said.append(f"the place is kept until {when(row.facts.keep_until)} in {where}; open it: {opens}")
        return said


async def aftermath(orchestrator: Orchestrator, row: Row) -> Aftermath:
    """Read what became of a lease's place."""
    journal = journal_records(await orchestrator.journal(row.terms.id))
    ends = [entry for entry in journal if entry["event"] in CLEANUP_EVENTS]
    done = [entry["details"] for entry in ends if entry["kind"] == "done"]
    tried = [entry["details"] for entry in ends if entry["kind"] in ("failed", "abandoned")]
    once = [entry["kind"] for entry in ends].count("begun") == 1  # an earlier try may have ended it, and kept changes
    used = row.papers["realization"] is not None and row.terms.mode is not Mode.IN_PLACE
    lost = once and used and any(details.get("was_there") is False for details in done)
    return Aftermath(
        row,
        kept=[kept for details in done for kept in details.get("kept", ())],
        notes=[_LOST] * lost + [str(note) for details in done for note in details.get("notes", ())],
        message=next((str(each[key]) for each in tried[::-1] for key in ("message", "why") if key in each), ""),
    )
