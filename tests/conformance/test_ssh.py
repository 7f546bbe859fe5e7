"""The ssh driver passes the suite against a real sshd: for whoever runs the tests, and for a plain user."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from account import home_of, plain_user
from leasehold.drivers.conformance import DriverConformance
from leasehold.drivers.conformance.ending import Ending
from leasehold.drivers.conformance.execution import Execution
from leasehold.drivers.conformance.faults import Faults
from leasehold.drivers.conformance.files import Files
from leasehold.drivers.conformance.lifecycle import Lifecycle
from leasehold.drivers.conformance.probing import Probing
from leasehold.drivers.conformance.suite import Suite
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


@pytest.fixture(scope="module")
def served_to_a_user() -> Iterator[Sshd | None]:
    if program() is None or os.getuid() != 0:
        yield None
        return
    with plain_user() as name:
        server = Sshd(home_of(name) / "sshd", name)
        server.start()
        yield server
        server.stop()


class _Ssh(Suite):
    driver = "ssh"
    server: ClassVar[Sshd]

    def root(self, folder: Path) -> Path:
        return folder / "places"

    def config(self, folder: Path) -> dict[str, Any]:
        return {**self.server.config(), "root": str(self.root(folder))}

    def sick_config(self, folder: Path) -> dict[str, Any]:
        (folder / "no-folder").write_bytes(b"")
        (folder / "no-folder").chmod(0o644)
        return {**self.server.config(), "root": str(folder / "no-folder" / "places")}

    def left(self, folder: Path) -> set[str]:
        found = [path for path in self.root(folder).glob("*") if path.name != ".fences"]
        found += [path for path in (folder / "state" / "mirrors").glob("*") if path.name != ".fences"]
        return {path.name for path in found}


class _Own(_Ssh):
    @pytest.fixture(autouse=True)
    def host(self, served: Sshd | None, require: Callable[[str], str]) -> None:
        require("ssh")
        if served is None:
            require("sshd")
        else:
            _Own.server = served


class TestSelf(_Own, Probing, Lifecycle, Execution, Ending, Files):
    """The login of whoever runs the tests: root, where they make a machine of their own."""


@pytest.mark.long
class TestFaults(_Own, Faults):
    """The caller is killed."""


@pytest.mark.long
class TestUser(_Ssh, DriverConformance):
    """A plain user's login."""

    @pytest.fixture(autouse=True)
    def host(self, served_to_a_user: Sshd | None, require: Callable[[str], str]) -> None:
        require("ssh")
        if served_to_a_user is None:
            require("sshd")
            pytest.skip("only root can make another user")
        TestUser.server = served_to_a_user

    def root(self, folder: Path) -> Path:
        return home_of(self.server.user) / folder.name / "places"
