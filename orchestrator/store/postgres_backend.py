"""A store on a PostgreSQL server, shared by many machines."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import psycopg
from leasehold.orchestrator.store.clock import Clock
from leasehold.orchestrator.store.errors import StoreUrlWrong
from leasehold.orchestrator.store.hints import Hints
from leasehold.orchestrator.store.migration import ensure
from leasehold.orchestrator.store.postgres import PostgresBatches
from leasehold.orchestrator.store.postgres_error import explain, lost
from leasehold.orchestrator.store.postgres_hints import Listening
from leasehold.orchestrator.store.postgres_session import Sessions, examine, raw_of
from leasehold.orchestrator.store.schema import Schema
from leasehold.orchestrator.store.server_clock import NAME
from leasehold.orchestrator.store.silence import Silence
from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")

_PAUSE = 0.05
_LANES = 2


class PostgresBackend:
    """One database, whose server keeps the time."""

    def __init__(self, engine: Engine, patience: float) -> None:
        self.engine = engine
        self._patience = patience
        self._sessions = Sessions(patience)
        self._silence = Silence(self._sessions.seconds * 2)

    @classmethod
    def at(cls, url: URL, patience: float) -> "PostgresBackend":
        """Raises ``StoreUrlWrong`` where another driver than psycopg 3 is named."""
        if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise StoreUrlWrong(
                f"a PostgreSQL store is reached through psycopg 3, not {url.drivername.partition('+')[2]}",
                hint="use postgresql://user@host/database",
            )
        seconds = max(2, round(patience))
        arguments = {
            "connect_timeout": seconds,
            # a server that is gone without a word is noticed in about the patience
            "keepalives_idle": seconds,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": seconds * 1000,
            "prepare_threshold": None,  # a pooler may give each transaction another session
            "application_name": "leasehold",
        }
        arguments = {name: value for name, value in arguments.items() if name not in url.query}
        url = url.set(drivername="postgresql+psycopg")
        return cls(create_engine(url, connect_args=arguments, hide_parameters=True), patience)

    def there(self) -> bool:
        return True

    def check_room(self) -> None:
        return

    def prepare(self, tables: Schema, *, make: bool) -> tuple[Clock, str]:
        try:
            with self.engine.connect() as connection:
                examine(connection)
                connection.rollback()
                self._sessions.begin(connection)
            ensure(self.engine, tables, make=make)
        except (SQLAlchemyError, psycopg.Error) as error:
            raise explain(error, self.engine) from error
        assert self._sessions.clock is not None
        return self._sessions.clock, NAME

    def close(self) -> None:
        self._silence.close()

    def batches(self, tables: Schema) -> list[PostgresBatches]:
        return [PostgresBatches(self.engine, tables, self._sessions, self._silence) for _ in range(_LANES)]

    def hints(self, tables: Schema) -> Hints:
        return Hints(partial(Listening.begin, self.engine, tables.channel, self._silence), tables.channel)

    def read(self, query: Callable[[Connection], T]) -> T:
        """A server that went away is waited for, and the query asked again."""
        end = time.monotonic() + (self._patience if self._sessions.clock else 0)
        while True:
            try:
                with self.engine.connect() as connection, self._silence.bounded(raw_of(connection)):
                    # a query of several statements sees one moment, as on SQLite
                    connection.execution_options(isolation_level="REPEATABLE READ")
                    self._sessions.begin(connection)
                    return query(connection)
            except (SQLAlchemyError, psycopg.Error) as error:
                if not lost(error) or time.monotonic() >= end:
                    raise explain(error, self.engine) from error
            time.sleep(_PAUSE)
