"""The SQLite side of the writer: one connection, one transaction a batch.

The statements run below SQLAlchemy, on the DBAPI connection, and an update sets only the columns that
change: most steps then touch no index (docs/design/002).
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any

from leasehold.orchestrator.store import columns
from leasehold.orchestrator.store.batch import Batch, Changed
from leasehold.orchestrator.store.errors import (
    EnvironmentChanged,
    HoldConflict,
    PlaceTaken,
    StaleWrite,
    StoreError,
    StoreLost,
)
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.write import Write
from sqlalchemy import Connection, Engine, Table, bindparam, delete, exists, null, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Job = Callable[[Connection], Any]


class _Refused(Exception):
    """Some write of the batch did not apply."""


class SqliteBatches:
    """Commits batches of writes and jobs. Used by one thread alone."""

    def __init__(self, engine: Engine, schema: Schema) -> None:
        self._engine = engine
        self._schema = schema
        self._connection: Connection | None = None
        lease, journal, hold = schema.lease, schema.journal, schema.hold
        self._insert = _insert(lease, columns.TERMS + columns.CHANGING)
        self._journal = _insert(journal, columns.JOURNAL)
        self._hold = _insert(hold, ("subject", "lease_id"), "ON CONFLICT DO NOTHING")
        self._activity = _insert(schema.activity, columns.ACTIVITY, "ON CONFLICT DO NOTHING")
        self._lease = lease.name
        self._updates: dict[Changed, str] = {}
        self._free = self._sql(delete(hold).where(hold.c.lease_id == bindparam("k_id")))
        self._holder = self._sql(select(hold.c.lease_id).where(hold.c.subject == bindparam("k_subject")))
        wished = lease.c.end_requested.is_not(None)
        unasked = update(lease).where(lease.c.id == bindparam("k_id"), wished).values(end_requested=null())
        self._unasked = self._sql(unasked)
        environment = schema.environment
        self._active = self._sql(
            select(
                exists().where(
                    environment.c.id == bindparam("k_id"),
                    environment.c.version == bindparam("k_version"),
                    environment.c.status == bindparam("k_status"),
                )
            )
        )
        ledger = schema.ledger
        self._draw = self._sql(update(ledger).values(epoch=ledger.c.epoch + bindparam("n")).returning(ledger.c.epoch))

    def _sql(self, statement: ClauseElement) -> str:
        return str(statement.compile(dialect=self._engine.dialect))

    def commit(self, writes: Sequence[Write], jobs: Sequence[Job]) -> list[Any]:
        """One answer an item, writes first: an epoch or a job's value, or the exception that refused it."""
        if not jobs:
            try:
                batch = Batch(writes)
                if not batch.hands_over:
                    return self._transaction(lambda raw: self._together(raw, batch), writes)
            except StoreError as error:
                return [error] * len(writes)
            except Exception:  # noqa: BLE001, S110 - one write is refused or cannot be bound; apart it fails alone
                pass
        try:
            return self._transaction(lambda raw: self._apart(raw, writes, jobs), writes)
        except StoreError as error:
            return [error] * (len(writes) + len(jobs))

    def begin_anew(self) -> None:
        self._drop()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction(self, work: Callable[[sqlite3.Connection], list[Any]], writes: Sequence[Write]) -> list[Any]:
        raw = self._open()
        try:
            raw.execute("BEGIN IMMEDIATE")
            answers = work(raw)
        except BaseException as error:
            self._roll_back(raw)
            if isinstance(error, sqlite3.IntegrityError | _Refused):
                raise
            if isinstance(error, sqlite3.Error):
                raise explain(error) from error
            raise
        try:
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            return self._settle(error, writes, answers)
        return answers

    def _open(self) -> sqlite3.Connection:
        try:
            fresh = self._connection is None
            if self._connection is None:
                self._connection = self._engine.connect()
            raw = self._connection.connection.driver_connection
        except Exception as error:
            self._connection = None
            cause = error.__cause__ if isinstance(error.__cause__, sqlite3.Error) else None
            raise explain(cause) if cause else StoreError(f"the store cannot be opened: {error}") from error
        assert isinstance(raw, sqlite3.Connection)
        raw.isolation_level = None
        if fresh:
            raw.execute("PRAGMA synchronous=FULL")  # whatever a host's own engine is set to
        return raw

    def _roll_back(self, raw: sqlite3.Connection) -> None:
        try:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _together(self, raw: sqlite3.Connection, batch: Batch) -> list[int]:
        if batch.draws:
            batch.draw(raw.execute(self._draw, (batch.draws,)).fetchone()[0])
        for key in batch.environments:
            if not raw.execute(self._active, (*key, "active")).fetchone()[0]:
                raise _Refused
        if batch.created:
            raw.executemany(self._insert, batch.created)
        for which, rows in batch.changed.items():
            if raw.executemany(self._update(which), rows).rowcount != len(rows):
                raise _Refused
        if batch.holds and raw.executemany(self._hold, batch.holds).rowcount != len(batch.holds):
            raise _Refused
        if batch.taken:
            raw.executemany(self._unasked, batch.taken)
        raw.executemany(self._journal, batch.journal)
        if batch.freed:
            raw.executemany(self._free, batch.freed)
        if batch.activities:
            raw.executemany(self._activity, batch.activities)
        return batch.epochs

    def _update(self, which: Changed) -> str:
        """The statement that sets these of ``columns.CHANGING``, where id, version and epoch are as given."""
        statement = self._updates.get(which)
        if statement is None:
            sets = ", ".join(f"{name} = ?" for name in compress(columns.CHANGING, which))
            statement = f"UPDATE {self._lease} SET {sets} WHERE id = ? AND version = ? AND epoch = ?"
            self._updates[which] = statement
        return statement

    def _apart(self, raw: sqlite3.Connection, writes: Sequence[Write], jobs: Sequence[Job]) -> list[Any]:
        answers: list[Any] = []
        for write in writes:
            answers.append(self._savepoint(raw, partial(self._alone, raw, write)))
        connection = self._connection
        assert connection is not None
        for job in jobs:
            answers.append(self._savepoint(raw, partial(job, connection)))
        return answers

    def _savepoint(self, raw: sqlite3.Connection, work: Callable[[], Any]) -> Any:
        raw.execute("SAVEPOINT item")
        try:
            answer = work()
        except Exception as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if not raw.in_transaction:  # SQLite itself has undone all of it
                raise explain(cause) if isinstance(cause, sqlite3.Error) else error from error
            raw.execute("ROLLBACK TO item")
            answer = error
            if isinstance(cause, sqlite3.Error) and not isinstance(cause, sqlite3.IntegrityError):
                answer = explain(cause)
        raw.execute("RELEASE item")
        return answer

    def _alone(self, raw: sqlite3.Connection, write: Write) -> int:
        if write.giver is not None:
            try:
                self._together(raw, Batch([write.giver]))
            except _Refused:
                raise PlaceTaken(write.giver.lease_id) from None
        if (
            write.environment is not None
            and not raw.execute(self._active, (*write.environment, "active")).fetchone()[0]
        ):
            raise EnvironmentChanged(write.environment[0])
        for subject in write.holds:
            row = raw.execute(self._holder, (subject,)).fetchone()
            if row is not None:
                raise HoldConflict(subject, row[0])
        try:
            [epoch] = self._together(raw, Batch([write]))
        except _Refused:
            raise StaleWrite(write.lease_id) from None
        return epoch

    def _settle(self, error: sqlite3.Error, writes: Sequence[Write], answers: list[Any]) -> list[Any]:
        """A commit without an answer is neither done nor failed: a new connection says which."""
        self._drop()
        journal = self._schema.journal
        try:
            with self._engine.connect() as connection:
                for position, write in enumerate(writes):
                    last = write.entries[-1]
                    row = connection.execute(
                        select(journal.c.owner, journal.c.attempt).where(
                            journal.c.lease_id == write.lease_id, journal.c.seq == last.seq
                        )
                    ).first()
                    if row is None or tuple(row) != (last.owner, last.attempt):
                        answers[position] = explain(error)
        except Exception as second:
            raise StoreLost(f"the store did not say whether a commit holds: {second}") from second
        for position in range(len(writes), len(answers)):
            answers[position] = explain(error)
        return answers


def explain(error: sqlite3.Error) -> StoreError:
    """The store's error in words, with what to do."""
    text = str(error)
    lower = text.lower()
    if "locked" in lower or "busy" in lower:
        return StoreError("the store is locked by another process", hint="end the process that holds it, and try again")
    if "full" in lower:
        return StoreError("the disk of the store is full", hint="free space on it, and try again")
    if "readonly" in lower or "read-only" in lower or "unable to open" in lower:
        return StoreError(f"the store cannot be written: {text}", hint="check the file's and folder's permissions")
    if "malformed" in lower or "not a database" in lower:
        return StoreError(
            f"the store is damaged: {text}", hint="restore it from a backup, or name another with --store"
        )
    return StoreError(f"the store failed: {text}")


def _insert(table: Table, names: Sequence[str], tail: str = "") -> str:
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) {tail}".rstrip()
