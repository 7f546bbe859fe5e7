"""What the two kinds of store have in common for who opens one."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from leasehold.orchestrator.store.clock import Clock
from leasehold.orchestrator.store.hints import Hints
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.writer import Batches
from sqlalchemy import Connection, Engine

T = TypeVar("T")


class Backend(Protocol):
    """One store's engine, and how it is used. What the database raises, it raises as ``StoreError``."""

    engine: Engine

    def there(self) -> bool:
        """Whether there is anything to look at; looking may not make it."""
        ...

    def check_room(self) -> None:
        """Raise ``StoreError`` where there is nothing yet, and it could not be made."""
        ...

    def prepare(self, tables: Schema, *, make: bool) -> tuple[Clock, str]:
        """Migrate the ledger, or ``make`` it where there is none; gives its clock, and the name under which
        owners count by it. Raises ``StoreAbsent``.
        """
        ...

    def close(self) -> None:
        """Let go of all that is not the engine's."""
        ...

    def batches(self, tables: Schema) -> Sequence[Batches]:
        """The writers' side of it, for each of them."""
        ...

    def hints(self, tables: Schema) -> Hints:
        """What processes tell each other beside the rows."""
        ...

    def read(self, query: Callable[[Connection], T]) -> T:
        """What a query answers, with a connection and a transaction of its own."""
        ...
