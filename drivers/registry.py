"""The drivers that this installation has: ours by name, others' by entry point, each loaded when used."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import cast

from leasehold.drivers.driver import Driver, KeepsFiles
from leasehold.drivers.errors import DriverError

GROUP = "leasehold.drivers"
_BUILT_IN = {
    "local": "leasehold.drivers.local:LocalDriver",
    "ssh": "leasehold.drivers.ssh:SshDriver",
    "bubblewrap": "leasehold.drivers.sandbox.bubblewrap:BubblewrapDriver",
    "docker": "leasehold.drivers.sandbox.container:DockerDriver",
    "podman": "leasehold.drivers.sandbox.container:PodmanDriver",
    "kubernetes": "leasehold.drivers.sandbox.kubernetes:KubernetesDriver",
    "scripted": "leasehold.drivers.scripted:ScriptedDriver",
}


class NotInstalled(DriverError):
    """No driver of that name is installed, or it cannot be loaded."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One driver of the registry; ``problem`` says why it cannot be loaded."""

    name: str
    source: str
    problem: str | None


class Registry:
    """Finds drivers by name. A broken one is listed with its reason and harms nobody.

    ``state_folder`` is where drivers keep files on the caller's side (none: where each of them does by itself).
    """

    def __init__(
        self,
        extra: Iterable[Driver] = (),
        *,
        state_folder: Path | None = None,
        entry_points: Callable[[], Mapping[str, metadata.EntryPoint]] | None = None,
    ) -> None:
        self._state_folder = state_folder
        self._loaded: dict[str, Driver] = {driver.name: self._told(driver) for driver in extra}
        self._given = frozenset(self._loaded)
        self._entry_points = entry_points or _installed

    def names(self) -> tuple[str, ...]:
        """All names, ours first."""
        return tuple(dict.fromkeys([*_BUILT_IN, *sorted(self._given), *sorted(self._entry_points())]))

    def get(self, name: str) -> Driver:
        """The driver of that name. Raises ``NotInstalled``."""
        driver = self._loaded.get(name)
        if driver is None:
            driver = self._loaded[name] = self._load(name)
        return driver

    def listing(self) -> list[Listed]:
        """All drivers, each tried."""
        rows: list[Listed] = []
        points = self._entry_points()
        for name in self.names():
            source = "built in" if name in _BUILT_IN else "given" if name in self._given else points[name].value
            try:
                self.get(name)
            except NotInstalled as error:
                rows.append(Listed(name, source, str(error)))
            else:
                rows.append(Listed(name, source, None))
        return rows

    def _load(self, name: str) -> Driver:
        target = _BUILT_IN.get(name)
        point = None if target else self._entry_points().get(name)
        if target is None and point is None:
            known = ", ".join(self.names())
            raise NotInstalled(f"driver {name} is not installed", hint=f"install it, or use one of: {known}")
        try:
            if target is not None:
                module, _, attribute = target.partition(":")
                loaded = getattr(import_module(module), attribute)
            else:
                loaded = cast(metadata.EntryPoint, point).load()
            driver = cast(Driver, loaded() if isinstance(loaded, type) else loaded)
            missing = [name for name in ("name", "version", "Config", "acquire") if not hasattr(driver, name)]
            if missing:
                raise TypeError(f"it lacks {', '.join(missing)}")
            return self._told(driver)
        except Exception as error:
            raise NotInstalled(
                f"driver {name} cannot be loaded: {error.__class__.__name__}: {error}",
                hint="mend or remove its package",
            ) from error

    def _told(self, driver: Driver) -> Driver:
        """The driver, which knows the state folder now where it asks for it."""
        if self._state_folder is not None and isinstance(driver, KeepsFiles):
            driver.keep_in(self._state_folder)
        return driver


def _installed() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}
