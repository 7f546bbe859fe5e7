"""What the suite has to know of a driver."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.conformance.tree import make_tree
from leasehold.drivers.driver import Driver
from leasehold.drivers.registry import Registry
from leasehold.drivers.workspace import Workspace


class Suite:
    """What the suite has to know of a driver; a subclass overrides what differs.

    Attributes:
        driver: its name in the registry, or ``module:attribute`` of something that makes one when called.
            (A name, because the fault rules make it in another process too.)
        mode: the workspace mode to test; none: the driver's first.
        opts_out: groups or rules that do not apply, each with the reason.
        seconds: how long one rule may take.
    """

    driver: ClassVar[str]
    mode: ClassVar[Mode | None] = None
    opts_out: ClassVar[Mapping[str, str]] = {}
    seconds: ClassVar[float] = 90.0

    def config(self, folder: Path) -> dict[str, Any]:
        """The config to test, as plain values; ``folder`` is a new one for each rule."""
        return {}

    def sick_config(self, folder: Path) -> dict[str, Any] | None:
        """A config that is valid, of a place that does not work now; none: that rule is skipped."""
        return None

    def workspace(self, folder: Path, mode: Mode) -> Workspace:
        """A workspace in ``folder``, which does not exist yet. It has a file ``README``."""
        return make_tree(folder, mode)

    def left(self, folder: Path) -> set[str]:
        """Names of what stands outside, seen without the driver: a rule ends with what it began with."""
        return set()

    def make_driver(self) -> Driver:
        """A new driver object; it knows nothing that an earlier one knew."""
        return load(self.driver)


def load(driver: str) -> Driver:
    """A new driver, by its name in the registry or by ``module:attribute``."""
    module, separator, attribute = driver.partition(":")
    if not separator:
        return Registry().get(driver)
    return cast(Driver, getattr(import_module(module), attribute)())
