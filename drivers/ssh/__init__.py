"""Places on hosts that are reached by ssh."""

from leasehold.drivers.ssh.config import SshConfig
from leasehold.drivers.ssh.driver import SshDriver

__all__ = ["SshConfig", "SshDriver"]
