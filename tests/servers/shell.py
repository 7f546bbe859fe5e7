"""The ssh driver, whose host is a plain shell of this machine."""

from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.ssh import SshConfig, SshDriver


class ShellDriver(SshDriver):
    """``sh -c`` is all the way there is."""

    def _connection(self, config: SshConfig) -> Link:
        return ProcessLink("here", [])
