"""The real ``leasehold`` in tests: run as a person would, with a home, a state folder and a store of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url, text

LEASEHOLD = Path(sys.executable).with_name("leasehold")


@dataclass
class Ran:
    """How an invocation ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The one error line."""
        [line] = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        return line


@dataclass
class CommandLine:
    """Runs ``leasehold`` with its own home, state folder and store, which ``url`` names.

    ``program`` is what is run; ``path`` has another version's packages. ``variables`` are its own besides.
    """

    home: Path
    work: Path
    state_folder: Path
    url: str
    program: Sequence[str | Path] = (LEASEHOLD,)
    path: Path | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])
    started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    @property
    def store(self) -> Path:
        """The store's file, where it is one."""
        kind, _, path = self.url.partition(":///")
        assert kind == "sqlite"
        return Path(path)

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
        return {
            **kept,
            **({} if self.path is None else {"PYTHONPATH": str(self.path)}),
            "HOME": str(self.home),
            "SHELL": "/bin/sh",
            "LEASEHOLD_STATE_FOLDER": str(self.state_folder),
            "LEASEHOLD_STORE": self.url,
            **self.variables,
            **(variables or {}),
        }

    def __call__(
        self, *arguments: str, stdin: str = "", code: int | None = None, variables: Mapping[str, str] | None = None
    ) -> Ran:
        """Run to the end; ``code`` is the exit code that it must have. No run may print a trace."""
        done = subprocess.run(
            [*self.program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.work,
            env=self.environment(variables),
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        if "--debug" not in arguments:
            assert "Traceback" not in ran.stderr, ran.stderr
        if code is not None:
            assert ran.code == code, (ran.code, ran.stdout, ran.stderr)
        return ran

    def start(
        self, *arguments: str, variables: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start one that the test will signal or wait for."""
        process = subprocess.Popen(
            [*self.program, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.work,
            env=self.environment(variables),
        )
        self.started.append(process)
        return process

    def until_said(self, process: subprocess.Popen[str], line: str) -> None:
        """Wait until it prints this line, the next."""
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"{line}\n", (said, self.finish(process).stderr)

    def finish(self, process: subprocess.Popen[str]) -> Ran:
        stdout, stderr = process.communicate(timeout=60)
        assert "Traceback" not in stderr, stderr
        return Ran(process.returncode, stdout, stderr)

    def leases(self) -> list[dict[str, Any]]:
        """The rows of the store, newest first."""
        url = make_url(self.url)
        driver = "sqlite" if url.drivername == "sqlite" else "postgresql+psycopg"
        with create_engine(url.set(drivername=driver), poolclass=NullPool).connect() as connection:
            rows = connection.execute(text("SELECT * FROM leasehold_lease ORDER BY id DESC"))
            return [dict(row) for row in rows.mappings()]

    def lease(self) -> dict[str, Any]:
        """The one row of the store."""
        [row] = self.leases()
        return row


def gone(pid: int) -> bool:
    """Whether no process of that id runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
