"""PostgreSQL's errors in words, with what to do."""

import psycopg
from leasehold.orchestrator.store.errors import StoreError, StoreLost, StoreUrlWrong
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, TimeoutError

_IDLE = "25P03"
_LOST = ("08", "57P01", "57P02", "57P03", _IDLE, "25P04", "57P05")

# the beginning of an SQLSTATE, what is wrong, what to do
_WORDS = (
    ("28", "refused the login", "check the user and the password of the store's URL"),
    ("3D000", "is not there", "check the database of the store's URL, or create it"),
    (
        "42501",
        "does not let this role do that",
        "grant the role its rights; leasehold db upgrade needs to create tables",
    ),
    ("25006", "is read-only", "name the primary, not a replica"),
    ("53100", "has a full disk", "free space on it, and try again"),
    ("53300", "has no connection to spare", "end some, or raise max_connections"),
    ("53", "is short of something", "look at the server's log"),
    ("55P03", "is locked by another session", "end the session that holds it, and try again"),
    ("57014", "cancelled a statement", "see what it waited for, and try again"),
    ("40", "undid a transaction", "try again"),
    (_IDLE, "ended a session that was idle in its transaction", "see what held this process up, and try again"),
    ("57P", "is going down, or coming up", "try again when it is up"),
    ("42P01", "lacks a table", "restore it from a backup, or name another with --store"),
    ("22", "cannot keep a value", "leave out what is no text"),
    ("XX", "is damaged", "look at the server's log, and restore it from a backup"),
)
# a login that fails has no SQLSTATE, and its text is the server's
_TEXTS = (
    ("password authentication failed", "28"),
    ("no password supplied", "28"),
    ("authentication", "28"),
    ("no pg_hba.conf entry", "28"),
    ('role "', "28"),
    ("permission denied", "42501"),
    ("does not exist", "3D000"),
    ("too many", "53300"),
    ("starting up", "57P"),
    ("shutting down", "57P"),
    ("recovery", "57P"),
)


def lost(error: BaseException) -> bool:
    """Whether the connection ended, or was never there: another may do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.errors.QueryCanceled) or not isinstance(cause, psycopg.Error):
        return False
    if cause.sqlstate is None:
        return isinstance(cause, psycopg.OperationalError)
    return cause.sqlstate.startswith(_LOST)


def slept(error: BaseException) -> bool:
    """Whether the server ended the session because this process held its transaction open for too long."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.Error) and cause.sqlstate == _IDLE


def explain(error: BaseException, engine: Engine) -> StoreError:
    """The error in one line, without the password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, StoreError):
        return cause
    said = _first_line(str(cause))
    if isinstance(cause, TimeoutError):
        return StoreError(f"the store's engine has no connection to spare: {said}", hint="give its pool more of them")
    password = engine.url.password
    if password:
        said = said.replace(str(password), "***")
    state = getattr(cause, "sqlstate", None) or _state_of(said)
    for beginning, what, hint in _WORDS:
        if state is not None and state.startswith(beginning):
            return StoreError(f"the store {what}: {said}", hint=hint)
    if lost(cause):
        return StoreError(f"the store cannot be reached: {said}", hint="check that it runs, and the store's URL")
    if state is None and isinstance(cause, psycopg.ProgrammingError):
        return StoreUrlWrong(f"not a store URL: {said}", hint="use postgresql://user@host/database")
    return StoreError(f"the store failed: {said}", hint="look at the server's log")


def unsettled(error: BaseException, engine: Engine) -> StoreLost:
    """No connection could be made to see whether a commit holds."""
    told = explain(error, engine)
    return StoreLost(f"the store did not say whether a commit holds: {told}", hint=told.hint)


def _state_of(said: str) -> str | None:
    return next((state for text, state in _TEXTS if text in said), None)


def _first_line(text: str) -> str:
    """What went wrong, of a text that may go on with hints, contexts and further addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines)[0]
