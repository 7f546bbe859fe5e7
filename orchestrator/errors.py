"""What callers of the library catch."""

from leasehold.orchestrator.store.errors import (
    StoreAbsent,
    StoreBehind,
    StoreError,
    StoreLost,
    StoreTooNew,
    StoreUrlWrong,
)
from leasehold.states import ErrorCode, IllegalTransition

__all__ = [
    "EnvironmentRunError",
    "IllegalTransition",
    "LeaseLost",
    "LeaseholdError",
    "NoSuch",
    "NotStuck",
    "StillHeld",
    "StoreAbsent",
    "StoreBehind",
    "StoreError",
    "StoreLost",
    "StoreTooNew",
    "StoreUrlWrong",
    "WrongUsage",
]


class LeaseholdError(Exception):
    """Something was asked that could not be done. ``hint`` says what to do; may be empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class EnvironmentRunError(LeaseholdError):
    """A lease failed; its cause is chained.

    Attributes:
        code: the one error code of the failure.
        message: one line, without secrets.
        environment_id, driver, provider: where, as far as it was known.
        lease_id: the lease that records the failure.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        environment_id: str | None = None,
        driver: str | None = None,
        provider: str | None = None,
        lease_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.message = message
        self.environment_id = environment_id
        self.driver = driver
        self.provider = provider
        self.lease_id = lease_id


class LeaseLost(LeaseholdError):
    """This process no longer holds the lease: another took it over, or this one was cut off."""

    def __init__(self, lease_id: str, why: str) -> None:
        super().__init__(f"lease {lease_id} is lost: {why}")
        self.lease_id = lease_id


class NoSuch(LeaseholdError):
    """No object of that name or id, of this company."""


class NotStuck(LeaseholdError):
    """A lease was to be replayed that somebody, or its time, will move on."""


class StillHeld(LeaseholdError):
    """A living owner holds the lease; it was asked, not robbed."""


class WrongUsage(LeaseholdError):
    """An argument that cannot be meant."""
