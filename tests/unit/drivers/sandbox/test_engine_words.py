"""What an engine says, as an error that says what to do."""

import pytest
from leasehold.drivers.errors import DriverError, Refused, Unavailable
from leasehold.drivers.sandbox.container import DockerDriver, PodmanDriver
from leasehold.drivers.sandbox.container.engine import Engine, Kind

DOCKER, PODMAN = DockerDriver.kind, PodmanDriver.kind


@pytest.mark.parametrize(
    ("kind", "said", "error", "hint"),
    [
        (
            DOCKER,
            'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io '
            "on 127.0.0.53:53: no such host",
            Unavailable,
            "does not reach the registry",
        ),
        (
            PODMAN,
            "Error: initializing source docker://busybox: pinging container registry registry-1.docker.io: Get "
            '"https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
            Unavailable,
            "does not reach the registry",
        ),
        (
            DOCKER,
            "error during connect: Get http://nowhere:2375/v1.45/info: dial tcp: lookup nowhere: no such host",
            Unavailable,
            "start the engine",
        ),
        (DOCKER, "docker: Error response from daemon: network foo not found.", Refused, "docker network ls"),
        (PODMAN, "Error: unable to find network with name or ID foo: network not found", Refused, "podman network ls"),
        (DOCKER, "Error response from daemon: manifest unknown", Refused, "look at the setting image"),
    ],
)
def test_the_hint_is_about_what_is_wrong(kind: Kind, said: str, error: type[DriverError], hint: str) -> None:
    meant = Engine(kind, None, lambda: None).meaning(said)
    assert isinstance(meant, error)
    assert hint in meant.hint
