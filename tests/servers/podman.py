"""Podman in tests: a storage of their own, and what a machine without CAP_SYS_RESOURCE needs."""

import os
import shutil
import subprocess
from pathlib import Path

from engine import Engine
from image import NAME, image_tar

_ENGINE = """
[containers]
default_ulimits=["nofile=20000:20000","nproc=20000:20000"]
[engine]
cgroup_manager="cgroupfs"
runtime="runc"
events_logger="file"
"""


def lacking() -> str | None:
    """Why podman cannot run here; none where it can."""
    for program in ("podman", "runc", "conmon"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None if os.geteuid() == 0 else "the tests run podman as root"


class Podman(Engine):
    """A storage: there is no daemon."""

    program = "podman"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.variables = {
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def start(self) -> None:
        (self.folder / "containers.conf").write_text(_ENGINE)
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver="overlay"\ngraphroot="{self.folder}/graph"\nrunroot="{self.folder}/run"\n'
        )
        self.ask("import", "-", NAME, stdin=image_tar())

    def stop(self) -> None:
        self.ask("rm", "-af", "-t", "0", check=False)
        subprocess.run(["umount", f"{self.folder}/graph/overlay"], capture_output=True, check=False)

    def ask(self, *words: str, stdin: bytes = b"", check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        env = {**os.environ, **self.variables}
        return subprocess.run(["podman", *words], input=stdin, capture_output=True, timeout=60, check=check, env=env)
