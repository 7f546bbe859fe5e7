"""Two writers of one store, by turns: the event loop works on half of the leases while the server commits the others'.

For a server that is another process: on SQLite the committing thread and the loop would only wait for each
other (docs/design/005). Few leases stay together in the first, in batches that are as large as can be.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from leasehold.orchestrator.store.write import Write
from leasehold.orchestrator.store.writer import Writer

_FEW = 8


class Lanes:
    """Gives each write to the writer that has the fewest in hand, or that has one of its lease in hand already.

    So the writes of a lease are done one by one and in order, whoever waits for them. A writer that has ended
    fails what it had; the other goes on alone.
    """

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = tuple(writers)

    def write(self, write: Write) -> asyncio.Future[int]:
        """Commit a write; the answer is the lease's epoch. Refusals and ``StoreError`` are raised."""
        lease_id = write.lease_id
        for writer in self._writers:
            if writer.has(lease_id):
                return writer.write(write)
        first = self._writers[0]
        writer = first if first.in_hand < _FEW else min(self._writers, key=_in_hand)
        return writer.write(write)

    def job(self, job: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Run a function with a writer's SQLAlchemy connection, inside a transaction: the first's that lives."""
        writer = next((writer for writer in self._writers if not writer.ended), self._writers[0])
        return writer.job(job)

    async def close(self) -> None:
        """Commit what waits, then stop."""
        await asyncio.gather(*(writer.close() for writer in self._writers))


def _in_hand(writer: Writer) -> int:
    return writer.in_hand
