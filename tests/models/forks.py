"""Processes that start in milliseconds: each is forked from one in which all that it would import is there."""

import multiprocessing
import os
import sys
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

_IMPORTED = [
    "chaos",
    "paths",
    "leasehold.orchestrator.store.migration",
    "leasehold.orchestrator.store.sqlite_backend",
    "leasehold.orchestrator.store.postgres_backend",
    "alembic.command",
    "alembic.autogenerate",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
]


@cache
def forks() -> ForkServerContext:
    """What starts them. The one process behind it is started here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # before Python 3.13 it does not get our sys.path for these
    try:
        ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context
