"""Docker and podman pass the suite against real engines, in the long profile."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from docker import Docker
from engine import Engine
from leasehold.drivers.conformance import DriverConformance
from podman import Podman


class _Containers(DriverConformance):
    engine: ClassVar[Engine]
    seconds = 120.0

    def config(self, folder: Path) -> dict[str, Any]:
        return self.engine.config()

    def sick_config(self, folder: Path) -> dict[str, Any]:
        return {**self.engine.config(), "host": f"unix://{folder}/no-socket"}

    def left(self, folder: Path) -> set[str]:
        mirrors = {path.name for path in (folder / "state" / "mirrors").glob("*") if path.name != ".fences"}
        return self.engine.containers() | mirrors


@pytest.mark.long
class TestDocker(_Containers):
    """The engine of docker."""

    driver = "docker"

    @pytest.fixture(autouse=True)
    def use(self, docker_engine: Docker) -> None:
        type(self).engine = docker_engine


@pytest.mark.long
class TestPodman(_Containers):
    """Podman, without a daemon."""

    driver = "podman"

    @pytest.fixture(autouse=True)
    def use(self, podman_engine: Podman, monkeypatch: pytest.MonkeyPatch) -> None:
        type(self).engine = podman_engine
        for name, value in podman_engine.variables.items():
            monkeypatch.setenv(name, value)
