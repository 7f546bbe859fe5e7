"""A session that hears what other sessions of PostgreSQL notify."""

import psycopg
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.postgres_error import explain
from leasehold.orchestrator.store.postgres_session import examine, hang_up, raw_of
from leasehold.orchestrator.store.silence import Silence
from psycopg import sql
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError


class Listening:
    """One of its own: a host's pool never gets it back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw = raw_of(connection)

    @classmethod
    def begin(cls, engine: Engine, channel: str, silence: Silence) -> "Listening | None":
        """Listen; none behind a pooler, which would give the hints to whoever has the session next.

        Raises ``StoreError``.
        """
        connection: Connection | None = None
        try:
            connection = engine.connect()
            connection.detach()
            with silence.bounded(raw_of(connection)):
                server = examine(connection)
                connection.rollback()
                if not server.pooled:
                    raw = raw_of(connection)
                    raw.autocommit = True
                    raw.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    return cls(connection)
        except (SQLAlchemyError, psycopg.Error) as error:
            if connection is not None:
                hang_up(connection)
            raise explain(error, engine) from error
        hang_up(connection)
        return None

    def fileno(self) -> int:
        return self._raw.fileno()

    def heard(self) -> list[str]:
        topics: list[str] = []
        try:
            self._raw.pgconn.consume_input()
            while (notified := self._raw.pgconn.notifies()) is not None:
                topics.append(notified.extra.decode())
        except psycopg.Error as error:
            raise StoreError(f"the session that listens has ended: {error}") from error
        return topics

    def close(self) -> None:
        hang_up(self._connection)
