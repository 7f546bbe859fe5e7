"""PgBouncer before a PostgreSQL server: each transaction gets another session."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from postgres import PostgresServer


class Pooler:
    """Runs in a folder of its own, in transaction mode, with two sessions a database."""

    def __init__(self, folder: Path, program: str, server: PostgresServer) -> None:
        self._server = server
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port: int = listening.getsockname()[1]
        settings = folder / "pooler.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        )
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if user is not None:
            for path in (folder, settings):
                shutil.chown(path, user)
        command = [program, "-q", str(settings)]
        self._process = subprocess.Popen(
            command, user=user, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None
                assert time.monotonic() < end

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
