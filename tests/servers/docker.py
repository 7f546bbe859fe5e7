"""A docker engine of the tests' own, on a temporary folder."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from engine import Engine
from image import NAME, image_tar

_WORDS = "--iptables=false --ip6tables=false --bridge=none --ip-forward=false --ip-masq=false --storage-driver=overlay2"


def lacking() -> str | None:
    """Why no engine can run here; none where one can."""
    for program in ("docker", "dockerd"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None if os.geteuid() == 0 else "dockerd needs root"


class Docker(Engine):
    """One engine. Its socket's path is short: a socket's has at most 107 bytes."""

    program = "docker"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.host = f"unix://{folder}/s"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folders = ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        words = [*_WORDS.split(), *folders, "--pidfile", self.folder / "pid", "-H", self.host]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", *words, "--default-ulimit", "nofile=20000:20000"], stdout=log, stderr=log, cwd="/"
            )
        end = time.monotonic() + 30
        while self.ask("version", check=False).returncode != 0:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "the engine did not come up"
            time.sleep(0.05)
        self.have_image()

    def have_image(self) -> None:
        if self.ask("image", "inspect", NAME, check=False).returncode != 0:
            self.ask("import", "-", NAME, stdin=image_tar())

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def ask(self, *words: str, stdin: bytes = b"", check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        argv = ["docker", "--host", self.host, *words]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=check)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "host": self.host}
