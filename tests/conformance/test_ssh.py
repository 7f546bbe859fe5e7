"""The ssh driver passes the suite against a real sshd, for root and for a plain user."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from leasehold.drivers.conformance import DriverConformance
from sshd import Sshd, program


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd | None]:
    if program() is None:
        yield None
        return
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def host(served: Sshd | None, require: Callable[[str], str]) -> None:
    require("ssh")
    if served is None:
        require("sshd")
    else:
        _Ssh.server = served


class _Ssh(DriverConformance):
    driver = "ssh"
    server: ClassVar[Sshd]

    def config(self, folder: Path) -> dict[str, Any]:
        return {**self.server.config(), "root": str(folder / "places")}

    def sick_config(self, folder: Path) -> dict[str, Any]:
        (folder / "no-folder").write_bytes(b"")
        return {**self.server.config(), "root": str(folder / "no-folder" / "places")}

    def left(self, folder: Path) -> set[str]:
        found = [path for path in (folder / "places").glob("*") if path.name != ".fences"]
        found += [path for path in (folder / "state" / "mirrors").glob("*") if path.name != ".fences"]
        return {path.relative_to(folder).as_posix() for path in found}


class TestSelf(_Ssh):
    """The login of whoever runs the tests."""
