"""The provider ``podman``."""

from pathlib import Path

from leasehold.drivers.sandbox.container.driver import ContainerDriver
from leasehold.drivers.sandbox.container.engine import Kind

_INIT = [Path(folder, "catatonit") for folder in ("/usr/libexec/podman", "/usr/lib/podman", "/usr/bin")]


class PodmanDriver(ContainerDriver):
    """Containers of podman, which needs no daemon."""

    name = "podman"
    kind = Kind(
        program="podman",
        address=("--remote", "--url"),
        variable="CONTAINER_HOST",
        identity="{{.Host.Hostname}} {{.Store.GraphRoot}}",
        start="start its service where host names one: systemctl start podman.socket",
        install="install it: apt-get install podman",
        init=lambda: any(path.exists() for path in _INIT),
    )
