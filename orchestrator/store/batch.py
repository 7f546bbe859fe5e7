"""A batch's rows, made before its transaction begins, so that nothing is pondered while the store is locked."""

from collections.abc import Sequence
from itertools import compress
from operator import ne
from typing import Any

from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.write import Write

Row = tuple[Any, ...]
Changed = tuple[bool, ...]

_ALL: Changed = (True,) * len(columns.CHANGING)


class Batch:
    """The parameters of each statement. Rows of writes that draw an epoch are added by ``draw``.

    ``changed`` has the updates by which of ``columns.CHANGING`` they set: where a step leaves a column
    as it is, none of its indexes is touched. ``hands_over`` says that a write has a giver, whose own
    write comes before it: such a one goes apart.
    """

    def __init__(self, writes: Sequence[Write]) -> None:
        self._writes = writes
        self._drawing = [write for write in writes if write.draws]
        self.created: list[Row] = []
        self.changed: dict[Changed, list[Row]] = {}
        self.journal: list[Row] = []
        self.holds: list[Row] = []
        self.freed: list[Row] = []
        self.taken: list[Row] = []
        self.activities: list[Row] = []
        self.environments: set[tuple[str, int]] = set()
        self.hands_over = any(write.giver is not None for write in writes)
        for write in writes:
            if not write.draws:
                self._add(write)

    @property
    def draws(self) -> int:
        """How many epochs it needs."""
        return len(self._drawing)

    @property
    def epochs(self) -> list[int]:
        """Each write's epoch, in the order of the writes."""
        return [write.changing[columns.EPOCH] for write in self._writes]

    def draw(self, last: int) -> None:
        """Give out the epochs that were drawn; ``last`` is the highest."""
        for epoch, write in enumerate(self._drawing, last - len(self._drawing) + 1):
            write.changing[columns.EPOCH] = epoch
            self._add(write)

    def _add(self, write: Write) -> None:
        if write.terms is not None:
            self.created.append((*write.terms, *write.changing))
        else:
            which = _ALL if write.before is None else tuple(map(ne, write.changing, write.before))
            row = (*compress(write.changing, which), write.lease_id, write.version, write.epoch)
            self.changed.setdefault(which, []).append(row)
            if write.draws:
                self.taken.append((write.lease_id,))
        self.journal += write.journal(write.changing[columns.EPOCH])
        if write.environment is not None:
            self.environments.add(write.environment)
        if write.holds:
            self.holds += [(subject, write.lease_id) for subject in write.holds]
        if write.frees:
            self.freed.append((write.lease_id,))
        if write.activity is not None:
            self.activities.append(write.activity)
