"""What an environment of bubblewrap may be told."""

from pathlib import Path
from typing import Annotated

from leasehold.drivers.local.config import LocalConfig
from leasehold.drivers.sandbox.limits import Limits
from pydantic import AfterValidator


def _absolute(path: Path) -> Path:
    if not path.expanduser().is_absolute():
        raise ValueError(f"{path} is not an absolute path")
    return path.expanduser()


Absolute = Annotated[Path, AfterValidator(_absolute)]


class BubblewrapConfig(LocalConfig, Limits):
    """The local driver's config, and what the sandbox shows of this machine.

    Attributes:
        network: whether commands reach the network, and with it whatever listens on this machine.
        read_only: further files and folders of this machine that commands see.
        writable: such that they may change, too.
    """

    network: bool = False
    read_only: tuple[Absolute, ...] = ()
    writable: tuple[Absolute, ...] = ()
