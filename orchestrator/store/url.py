"""The URL of a store."""

import re

from leasehold.orchestrator.store.backend import Backend
from leasehold.orchestrator.store.errors import StoreUrlWrong
from leasehold.orchestrator.store.sqlite_backend import SqliteBackend
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

_HINT = "use sqlite:////path/to/file.db, or postgresql://user@host/database"


def shown_url(url: str) -> str:
    """A store's URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return re.sub(r"://([^/@:]*):[^/]*@", r"://\1:***@", url)


def backend_of(url: str, patience: float) -> Backend:
    """The store at a URL, which waits at most ``patience`` seconds for a lock.

    Raises ``StoreUrlWrong``.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreUrlWrong(f"not a store URL: {shown_url(url)}", hint=_HINT) from error
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return SqliteBackend.at(parsed, patience)
        case "postgresql" | "postgres":
            from leasehold.orchestrator.store.postgres_backend import PostgresBackend  # psycopg is for who uses it

            return PostgresBackend.at(parsed, patience)
        case kind:
            raise StoreUrlWrong(f"a store of kind {kind} is not supported", hint=_HINT)


def backend_on(engine: Engine, patience: float) -> Backend:
    """The store that a host's own engine reaches. Raises ``StoreUrlWrong``."""
    match engine.dialect.name:
        case "sqlite":
            return SqliteBackend(engine)
        case "postgresql":
            from leasehold.orchestrator.store.postgres_backend import PostgresBackend

            return PostgresBackend(engine, patience)
        case kind:
            raise StoreUrlWrong(f"a store of kind {kind} is not supported", hint="bring a SQLite or PostgreSQL engine")
