"""A lease's terms: what is fixed when it is resolved and never changes."""

from dataclasses import dataclass
from typing import Any

from leasehold.drivers import Mode
from leasehold.orchestrator.request import Request
from leasehold.orchestrator.store.encoding import digest, encode
from leasehold.states import Policy

STORED = ("fingerprint", "machine", "state_folder", "bound")


@dataclass(frozen=True, slots=True)
class Terms:
    """Who leases what, under which environment as it was then.

    ``config`` is the driver's config as JSON text, pinned: later changes of the environment do not
    touch the lease. ``fingerprint`` is what a place must have in common with the next lease that it
    serves. ``machine`` and ``state_folder`` are those of the process that resolved it; ``bound`` says that its
    place stands there, and is reached from there alone.
    Environment, driver and mode are unknown where resolving failed early.
    """

    id: str
    request: Request
    policy: Policy
    environment_id: str | None = None
    environment_name: str | None = None
    driver: str | None = None
    provider: str | None = None
    mode: Mode | None = None
    config: str = "{}"
    fingerprint: str | None = None
    machine: str | None = None
    state_folder: str | None = None
    bound: bool | None = None

    def columns(self, created_at: int) -> tuple[str | int | None, ...]:
        """The values of ``columns.TERMS``."""
        request = self.request
        return (
            self.id,
            request.company_id,
            request.run_id,
            request.issue_id,
            request.agent_id,
            request.adapter_type,
            self.environment_id,
            self.environment_name,
            self.driver,
            self.provider,
            str(self.policy),
            None if self.mode is None else str(self.mode),
            encode({**request.stored(), **self._stored()}),
            self.config,
            created_at,
        )

    def _stored(self) -> dict[str, Any]:
        """What stands in the request's column beside the request."""
        named = {name: getattr(self, name) for name in STORED}
        return {name: value for name, value in named.items() if value is not None}


def terms_digest(columns: tuple[str | int | None, ...]) -> str:
    """A short hash of the terms' columns; the first journal row carries it."""
    return digest(*[None if value is None else str(value) for value in columns])
