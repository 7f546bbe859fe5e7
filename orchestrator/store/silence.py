"""Silence: a server that neither answers nor ends the connection. No wait of ours outlives it.

The server's own time-outs end a slow statement, and the network's a dead peer; neither sees a server
that was stopped in its tracks. One thread looks from time to time, and costs a statement nothing.
"""

import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psycopg
from leasehold.orchestrator.store.postgres_session import Raw


class Silence:
    """Cuts connections on which one piece of work lasts longer than ``seconds``, give or take a quarter."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[Raw, float]] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def bounded(self, raw: Raw) -> Generator[None]:
        """Work on a connection; if it is cut, what waits on it raises psycopg's ``OperationalError``."""
        with self._lock:
            self._under_way[id(raw)] = (raw, time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="leasehold-silence", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._under_way.pop(id(raw), None)

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(30)

    def _look(self) -> None:
        while not self._closed.wait(self._seconds / 4):
            with self._lock:
                for raw, since in self._under_way.values():
                    if time.monotonic() - since > self._seconds:
                        _cut(raw)


def _cut(raw: Raw) -> None:
    with suppress(OSError, psycopg.Error):
        connection = socket.socket(fileno=os.dup(raw.fileno()))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
