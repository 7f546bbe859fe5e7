"""The PostgreSQL side of the writer: one connection of its own, one prepared statement a batch.

The statement commits by itself, and runs below SQLAlchemy (docs/design/005). Behind a pooler nothing is
prepared, and its settings are those of a transaction around it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from leasehold.orchestrator.store.errors import EnvironmentChanged, HoldConflict, PlaceTaken, StaleWrite, StoreError
from leasehold.orchestrator.store.postgres_error import explain, lost, slept, unsettled
from leasehold.orchestrator.store.postgres_session import Raw, Server, Sessions, examine, hang_up, raw_of
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.silence import Silence
from leasehold.orchestrator.store.statement import BatchStatement
from leasehold.orchestrator.store.write import Write
from psycopg import errors
from sqlalchemy import Connection, Engine, exists, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

Job = Callable[[Connection], Any]

_TRIES = 5
_PAUSE = 0.05
# the batch is undone, and its writes may hold apart, or in another order
_UNDONE = (
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.DivisionByZero,
    errors.IntegrityError,
    errors.DataError,
    errors.LockNotAvailable,
    ValueError,
)
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure, errors.DivisionByZero)


class PostgresBatches:
    """Commits batches of writes and jobs. Used by one thread alone."""

    def __init__(self, engine: Engine, schema: Schema, sessions: Sessions, silence: Silence) -> None:
        self._engine = engine
        self._silence = silence
        self._schema = schema
        self._sessions = sessions
        self._statement = BatchStatement(schema, engine.dialect)
        self._connection: Connection | None = None
        self._server: Server | None = None

    def commit(self, writes: Sequence[Write], jobs: Sequence[Job]) -> list[Any]:
        """One answer an item, writes first: an epoch or a job's value, or the exception that refused it."""
        return [*(self._written(writes) if writes else ()), *map(self._job, jobs)]

    def begin_anew(self) -> None:
        self._drop()

    def close(self) -> None:
        """End the connection."""
        self._drop()

    # --- writes

    def _written(self, writes: Sequence[Write]) -> list[Any]:
        end = time.monotonic() + self._sessions.seconds
        together = [write for write in writes if write.giver is None]
        applied: dict[str, int] = {}
        failed: StoreError | None = None
        try:
            if together:
                self._apply(together, end, applied)
        except _UNDONE:
            pass
        except StoreError as error:
            failed = error
        answers: list[Any] = []
        for write in writes:
            if write.lease_id in applied:
                answers.append(applied[write.lease_id])
            else:
                answers.append(failed or self._alone(write, end))
        return answers

    def _alone(self, write: Write, end: float) -> Any:
        """Its epoch, or what refused it."""
        for _ in range(_TRIES):
            if time.monotonic() > end:
                return StoreError("the store was too slow", hint="see what it waits for, and try again")
            applied: dict[str, int] = {}
            try:
                self._apply([write], end, applied)
                return applied[write.lease_id] if applied else self._why(write)
            except PlaceTaken as taken:
                return taken
            except _AGAIN:
                continue
            except UnicodeEncodeError as error:
                return error
            except (psycopg.Error, DBAPIError, ValueError) as error:
                return explain(error, self._engine)
            except StoreError as error:
                return error
        return StoreError("the store undid a write again and again", hint="try again")

    def _apply(self, writes: Sequence[Write], end: float, applied: dict[str, int]) -> None:
        """Fills in the epochs of those that applied, durably. Where the connection ends meanwhile, they are settled.

        Raises what ``_UNDONE`` names, ``PlaceTaken``, and ``StoreError``: those that are filled in by then hold.
        """
        while True:
            raw = self._open(end)
            try:
                with self._silence.bounded(raw):
                    applied |= self._execute(raw, writes)
                return
            except errors.QueryCanceled as error:
                if time.monotonic() >= end - self._sessions.seconds / 3:
                    raise explain(error, self._engine) from error
                # somebody ended it by hand; nothing of it holds
            except _UNDONE:
                raise
            except psycopg.Error as error:
                if not lost(error) and not raw.closed:
                    raise explain(error, self._engine) from error
                self._settle(error, writes, end, applied)
                writes = [write for write in writes if write.lease_id not in applied]
                if not writes:
                    return

    def _execute(self, raw: Raw, writes: Sequence[Write]) -> dict[str, int]:
        assert self._server is not None
        parameters = self._statement.parameters(writes)
        givers = [write.giver for write in writes if write.giver is not None]
        if not givers and not self._server.pooled:
            raw.autocommit = True
            return dict(raw.execute(self._statement.text, parameters, prepare=True).fetchall())
        raw.autocommit = False
        with raw.transaction():
            if self._server.pooled:
                self._sessions.write(raw, session=False)
            for giver in givers:
                if not raw.execute(self._statement.text, self._statement.parameters([giver])).fetchall():
                    raise PlaceTaken(giver.lease_id)
            applied: dict[str, int] = dict(raw.execute(self._statement.text, parameters).fetchall())
            if givers and not applied:
                raise psycopg.Rollback
        return applied

    def _settle(self, error: psycopg.Error, writes: Sequence[Write], end: float, applied: dict[str, int]) -> None:
        """A commit without an answer is neither done nor failed: a new connection says which.

        First the old session is ended, so that nothing it was sent can still come to hold.
        """
        old = self._server
        self._drop()
        journal = self._engine.dialect.identifier_preparer.format_table(self._schema.journal)
        try:
            while True:
                raw = self._open(end)
                try:
                    with self._silence.bounded(raw):
                        raw.autocommit = True
                        self._end_session(raw, old, end)
                        for write in writes:
                            last = write.entries[-1]
                            query = f"SELECT owner, attempt, epoch FROM {journal} WHERE lease_id = %s AND seq = %s"
                            row = raw.execute(query.encode(), (write.lease_id, last.seq)).fetchone()
                            if row is not None and row[:2] == (last.owner, last.attempt):
                                applied[write.lease_id] = row[2]
                    return
                except psycopg.Error as second:
                    if not lost(second) and not raw.closed:
                        raise
                    self._drop()
        except (psycopg.Error, StoreError) as second:
            raise unsettled(second, self._engine) from error

    def _end_session(self, raw: Raw, old: Server | None, end: float) -> None:
        if old is None or old.pooled:
            return
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
        while raw.execute(query, (old.pid, old.started)).fetchone() is not None:
            if time.monotonic() > end:
                raise StoreError("the session that may still commit does not end")
            time.sleep(_PAUSE)

    def _why(self, write: Write) -> Exception:
        """What refused a write that did not apply."""
        hold, environment = self._schema.hold, self._schema.environment

        def ask(connection: Connection) -> Exception:
            if write.environment is not None:
                key, version = write.environment
                active = exists().where(
                    environment.c.id == key, environment.c.version == version, environment.c.status == "active"
                )
                if not connection.scalar(select(active)):
                    return EnvironmentChanged(key)
            for subject in write.holds:
                holder = connection.scalar(select(hold.c.lease_id).where(hold.c.subject == subject))
                if holder is not None:
                    return HoldConflict(subject, holder)
            return StaleWrite(write.lease_id)

        answer: Exception = self._job(ask)
        return answer

    # --- jobs

    def _job(self, job: Job) -> Any:
        """What it answers, once its transaction is committed; or what it raised."""
        end = time.monotonic() + self._sessions.seconds
        for _ in range(_TRIES):
            try:
                raw = self._open(end)
                raw.autocommit = False
                with self._silence.bounded(raw):
                    return self._transaction(job)
            except IntegrityError as error:
                return error
            except (SQLAlchemyError, psycopg.Error) as error:
                if lost(error):
                    self._drop()
                if slept(error) or not (lost(error) or isinstance(getattr(error, "orig", error), _AGAIN)):
                    return explain(error, self._engine)
            except Exception as error:  # noqa: BLE001 - whatever the job raises is its answer
                return error
        return StoreError("the store undid a transaction again and again", hint="try again")

    def _transaction(self, job: Job) -> Any:
        connection = self._connection
        assert connection is not None
        assert self._server is not None
        transaction = connection.begin()
        try:
            self._sessions.begin(connection)
            if self._server.pooled:
                self._sessions.write(raw_of(connection), session=False)
            answer = job(connection)
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except DBAPIError as error:
            self._drop()
            if lost(error):
                raise unsettled(error, self._engine) from error
            raise
        return answer

    # --- the connection

    def _open(self, end: float) -> Raw:
        """The connection; where there is none, a new one, waited for as long as it can still be of use."""
        while True:
            if self._connection is not None and not self._connection.invalidated:
                raw = raw_of(self._connection)
                if not raw.closed:
                    return raw
            self._drop()
            try:
                self._connection = self._engine.connect()
                self._connection.detach()  # a host's pool never gets it back with our settings
                self._server = examine(self._connection)
                self._connection.rollback()
                raw = raw_of(self._connection)
                raw.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                if not self._server.pooled:
                    raw.autocommit = True
                    raw.prepare_threshold = _TRIES
                    self._sessions.write(raw, session=True)
            except (SQLAlchemyError, psycopg.Error) as error:
                self._drop()
                if not lost(error) or time.monotonic() > end - self._sessions.seconds / 2:
                    raise explain(error, self._engine) from error
                time.sleep(_PAUSE)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            hang_up(connection)
