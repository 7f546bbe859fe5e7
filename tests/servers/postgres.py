"""A PostgreSQL server of the tests' own, on a temporary folder and a free port."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

_LIBRARY = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of the newest server that is installed; none where there is none."""
    found = sorted(_LIBRARY.glob("*/bin/pg_ctl"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    path = shutil.which("pg_ctl")
    return None if path is None else Path(path).parent


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class PostgresServer:
    """In a folder that its user reaches. ``options`` are its settings; by default it does not wait for the disk."""

    def __init__(self, folder: Path, bin: Path, options: Sequence[str] = ("fsync=off",)) -> None:
        self.folder = folder
        self.port = _free_port()
        self._bin = bin
        self._options = options
        self._databases = 0
        # the server refuses to run as root
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres")

    def create(self, *arguments: str) -> None:
        """Make the cluster and start it; ``arguments`` are further ones of initdb."""
        usual = ("-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
        self._run("initdb", *usual, *arguments)
        self.start()

    def another(self, folder: Path, options: Sequence[str] = ("fsync=off",), *arguments: str) -> "PostgresServer":
        """A second server, started."""
        server = PostgresServer(folder, self._bin, options)
        server.create(*arguments)
        return server

    def replica(self, folder: Path) -> "PostgresServer":
        """A server that follows this one, and is read-only until it is promoted."""
        server = PostgresServer(folder, self._bin)
        source = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        server._run("pg_basebackup", "-D", server.data, *source, "--write-recovery-conf", "--no-sync", "-c", "fast")
        server.start()
        return server

    def promote(self) -> None:
        """Have a replica take writes."""
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "30", "promote")

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self, under: Sequence[str] = ()) -> None:
        """Start it; ``under`` is a command to run it with."""
        settings = [f"-c {option}" for option in (f"port={self.port}", "listen_addresses=127.0.0.1", *self._options)]
        options = " ".join([*settings, f"-k {self.folder}"])
        started = ("-D", self.data, "-w", "-t", "30", "-l", str(self.folder / "log"), "-o", options, "start")
        self._run("pg_ctl", *started, under=under)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "30", "-m", mode, "stop")

    def restart(self, under: Sequence[str] = ()) -> None:
        """Everybody is cut off at once, as by a crash; then the log is played again."""
        self.stop()
        self.start(under)

    def url(self, database: str = "postgres", user: str = "postgres", query: str = "") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{query}"

    def ask(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as its owner, outside a transaction."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """The name of a fresh database."""
        self._databases += 1
        name = f"t{self._databases}"
        self.ask(f"CREATE DATABASE {name}")
        return name

    def empty(self, database: str) -> None:
        """End the sessions of a store's database, and remove all rows but the ledger's and the version's."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        while self.ask(others, database):
            pass
        found = self.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database)
        tables = {table for (table,) in found} - {"leasehold_ledger", "leasehold_version"}
        self.ask("; ".join(f"DELETE FROM {table}" for table in tables), database=database)

    def roles(self) -> None:
        """Make ``poor``, who may nothing, and ``locked``, whose password nobody knows."""
        if not self.ask("SELECT 1 FROM pg_roles WHERE rolname = 'poor'"):
            self.ask("CREATE ROLE poor LOGIN")
            self.ask("CREATE ROLE locked LOGIN PASSWORD 'swordfish'")
            rules = Path(self.data) / "pg_hba.conf"
            rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
            self.ask("SELECT pg_reload_conf()")

    def _run(self, program: str, *arguments: str, under: Sequence[str] = ()) -> None:
        command = [*self._as, *under, str(self._bin / program), *arguments]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            log = self.folder / "log"
            raise AssertionError(done.stderr.decode() + (log.read_text() if log.exists() else ""))
