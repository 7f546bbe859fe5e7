"""The provider ``docker``."""

from leasehold.drivers.sandbox.container.driver import ContainerDriver
from leasehold.drivers.sandbox.container.engine import Kind


class DockerDriver(ContainerDriver):
    """Containers of docker's engine."""

    name = "docker"
    kind = Kind(
        program="docker",
        address=("--host",),
        variable="DOCKER_HOST",
        identity="{{.ID}} {{.DockerRootDir}}",
        start="start the engine: systemctl start docker; or set host, and look that you may use its socket",
        install="install it: apt-get install docker.io",
        init=lambda: True,
    )
