"""What a session on PostgreSQL is set to: every wait has a deadline, and what is acknowledged is durable.

Nothing is left behind on a connection that others use after us: what others may share is set for one
transaction alone. So the same code works behind a pooler that gives each transaction another session.
"""

import json
from dataclasses import dataclass
from typing import Any

import psycopg
from leasehold.orchestrator.store.clock import since_boot
from leasehold.orchestrator.store.errors import StoreError
from leasehold.orchestrator.store.server_clock import ServerClock
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

OLDEST = 13
Raw = psycopg.Connection[tuple[Any, ...]]

_SET = """
SELECT set_config(key, value, %s) FROM jsonb_each_text(%s::jsonb)
WHERE key <> 'synchronous_commit' OR current_setting(key) IN ('off', 'local', 'remote_write')
"""
# the WAL writer is begun anew where a server takes up writing: after a start, a crash, a promotion. Who may not
# see it (it takes pg_read_all_stats) sees starts alone
_BEGIN = """
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, count(set_config(key, value, true)),
  (extract(epoch FROM greatest(pg_postmaster_start_time(), (
    SELECT max(backend_start) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'walwriter'))) * 1000000)::bigint
FROM jsonb_each_text(%s::jsonb)
"""


@dataclass(frozen=True, slots=True)
class Server:
    """The session's other end. ``pooled``: sessions are shared between the transactions of many clients."""

    pid: int
    started: Any
    pooled: bool


class Sessions:
    """Sets sessions up. ``patience``: how many seconds a lock is waited for; a statement has three times that."""

    def __init__(self, patience: float) -> None:
        lock, statement = f"{int(patience * 1000)}ms", f"{int(patience * 3000)}ms"
        self.seconds = patience * 3
        self._deadlines = {
            "lock_timeout": lock,
            "statement_timeout": statement,
            "idle_in_transaction_session_timeout": statement,
        }
        self._reading = json.dumps(self._deadlines)
        # an index for each look-up: a plan that was made while a table was empty must be right when it is full
        by_index = dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off")
        plan = {"plan_cache_mode": "force_generic_plan", "default_transaction_isolation": "read committed"}
        self._writing = json.dumps({**self._deadlines, **by_index, **plan, "synchronous_commit": "on"})
        self.clock: ServerClock | None = None

    def begin(self, connection: Connection) -> None:
        """The first statement of a transaction: sets deadlines; hears the server's time and since when it serves."""
        sent = since_boot()
        server, _, back_since = connection.exec_driver_sql(_BEGIN, (self._reading,)).one()
        received = since_boot()
        if self.clock is None:
            self.clock = ServerClock(server, received)
        else:
            self.clock.hear(server, sent, received)
        self.clock.back_since = back_since

    def write(self, raw: Raw, *, session: bool) -> None:
        """Set what writes need, for the whole session or for the transaction under way."""
        raw.execute(_SET, (not session, self._writing))


def examine(connection: Connection) -> Server:
    """Who answers. Raises ``StoreError`` where it is older than ``OLDEST``."""
    raw = raw_of(connection)
    version = raw.info.server_version
    if version < OLDEST * 10000:
        raise StoreError(
            f"the store's PostgreSQL {version // 10000} is older than {OLDEST}, the oldest that is supported",
            hint=f"use PostgreSQL {OLDEST} or newer",
        )
    query = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    pid, started = connection.exec_driver_sql(query).one()
    return Server(pid, started, pooled=pid != raw.info.backend_pid)


def raw_of(connection: Connection) -> Raw:
    """The connection below SQLAlchemy's. Raises ``StoreError`` where a host's engine has another driver's."""
    raw = connection.connection.dbapi_connection  # psycopg's own; a detached one has no driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise StoreError(
            f"a PostgreSQL store is reached through psycopg 3, not {type(raw).__module__}",
            hint="make the engine with postgresql+psycopg://",
        )
    return raw


def hang_up(connection: Connection) -> None:
    """End a connection that was taken out of its pool, whatever became of it."""
    try:
        if not connection.invalidated:
            raw_of(connection).close()
            connection.invalidate()
        connection.close()
    except (DBAPIError, psycopg.Error):
        return  # it was broken already
