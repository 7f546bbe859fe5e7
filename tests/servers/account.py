"""A plain user of this machine, for tests that root runs."""

import subprocess
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def plain_user() -> Generator[str, None, None]:
    """The name of a new user with a home and a login shell; it is removed with all that it runs."""
    name = f"lease{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", name], check=True, timeout=30)
    try:
        subprocess.run(["usermod", "-p", "*", name], check=True, timeout=30)  # else sshd takes it for locked
        yield name
    finally:
        subprocess.run(["pkill", "-KILL", "-u", name], check=False, timeout=30)
        subprocess.run(["userdel", "--remove", "--force", name], check=False, timeout=30, capture_output=True)


def home_of(name: str) -> Path:
    """A user's home."""
    return Path(f"~{name}").expanduser()
