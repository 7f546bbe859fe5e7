"""The ssh driver, whose host is a plain shell of this machine."""

from collections.abc import Callable

from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.ssh import SshConfig, SshDriver


class ShellDriver(SshDriver):
    """``sh -c`` is all the way there is."""

    def _connection(self, config: SshConfig, learn: Callable[[str], None] | None = None) -> Link:
        return ProcessLink("here", [])
