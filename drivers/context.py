"""What a driver's verb is given besides its arguments."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leasehold.drivers.errors import Stopped, TimedOut
from leasehold.drivers.secret import SecretRef


def _silent(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one verb.

    Attributes:
        config: the driver's config, as pinned when the lease was acquired.
        deadline: when the verb must have ended, by ``time.monotonic()``.
        epoch: the fencing number of the lease's owner; a place refuses an older one where it can.
        ledger: the id of the store whose lease this is.
        lease_id: whose place it is.
        state_folder: a folder of this user's for what drivers keep on the caller's side.
        stop: set when the verb shall settle and end early.
        progress: told a line, for a person who waits.
        learn: told the value of each secret that is read, so that it is blotted out wherever it turns up.
        variables: variables that every command in the place gets (name to value).
    """

    config: Any
    deadline: float
    epoch: int
    ledger: str
    lease_id: str
    state_folder: Path
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Callable[[str], None] = _silent
    learn: Callable[[str], None] = _silent
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def remaining(self) -> float:
        """Seconds until the deadline, not below 0."""
        return max(0.0, self.deadline - time.monotonic())

    def secrets(self, named: Mapping[str, str]) -> dict[str, str]:
        """The values of what a config names by reference. May block. Raises ``Refused``."""
        values = {name: SecretRef(reference).resolve() for name, reference in named.items()}
        for value in values.values():
            self.learn(value)
        return values

    def check(self) -> None:
        """Raise ``Stopped`` or ``TimedOut`` where the verb should not go on."""
        if self.stop.is_set():
            raise Stopped("stopped on request")
        if self.remaining() == 0.0:
            raise TimedOut("the step's deadline has passed")
