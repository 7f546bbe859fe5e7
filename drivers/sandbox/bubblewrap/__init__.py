"""Sandboxes by bubblewrap: Linux namespaces, without a daemon and without an image."""

from leasehold.drivers.sandbox.bubblewrap.config import BubblewrapConfig
from leasehold.drivers.sandbox.bubblewrap.driver import BubblewrapDriver

__all__ = ["BubblewrapConfig", "BubblewrapDriver"]
