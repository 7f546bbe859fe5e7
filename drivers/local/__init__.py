"""Places on this machine: the folder itself, a copy of it, or a git worktree."""

from leasehold.drivers.local.config import LocalConfig
from leasehold.drivers.local.driver import LocalDriver

__all__ = ["LocalConfig", "LocalDriver"]
