"""(event, driver error) → the one code of the failure.

A row fits a driver error or any class below it; the first that fits counts. ``check`` holds every
row to the codes that the event's own row in the lease table allows.
"""

from dataclasses import dataclass

from leasehold.drivers import Conflict, DriverError, Unusable
from leasehold.states import ErrorCode, LeaseEvent, transition


class ProbeFailed(DriverError):
    """The environment asks for a probe before each lease, and the place is sick."""


class CompanyHasNoSuchEnvironment(DriverError):
    """The environment is not there for this company."""


class EnvironmentArchived(DriverError):
    """The environment takes no new leases."""


class AdapterRefused(DriverError):
    """The adapter is not registered, or does not work over this transport."""


class Held(DriverError):
    """Another lease holds the subject."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the table."""

    event: LeaseEvent
    error: type[BaseException]
    code: ErrorCode


ERROR_TABLE: tuple[ErrorRow, ...] = (
    ErrorRow(LeaseEvent.RESOLVE, CompanyHasNoSuchEnvironment, ErrorCode.ENVIRONMENT_NOT_FOUND),
    ErrorRow(LeaseEvent.RESOLVE, EnvironmentArchived, ErrorCode.ENVIRONMENT_INACTIVE),
    ErrorRow(LeaseEvent.RESOLVE, AdapterRefused, ErrorCode.UNSUPPORTED_ADAPTER_ENVIRONMENT),
    ErrorRow(LeaseEvent.RESOLVE, Unusable, ErrorCode.WORKSPACE_REALIZATION_FAILED),
    ErrorRow(LeaseEvent.RESOLVE, Exception, ErrorCode.UNSUPPORTED_ENVIRONMENT),
    ErrorRow(LeaseEvent.ACQUIRE, ProbeFailed, ErrorCode.PROBE_FAILED),
    ErrorRow(LeaseEvent.ACQUIRE, Held, ErrorCode.LEASE_CONFLICT),
    ErrorRow(LeaseEvent.ACQUIRE, Conflict, ErrorCode.LEASE_CONFLICT),
    ErrorRow(LeaseEvent.ACQUIRE, Exception, ErrorCode.LEASE_ACQUIRE_FAILED),
    ErrorRow(LeaseEvent.REALIZE, Exception, ErrorCode.WORKSPACE_REALIZATION_FAILED),
    ErrorRow(LeaseEvent.PROVISION, Exception, ErrorCode.WORKSPACE_REALIZATION_FAILED),
    ErrorRow(LeaseEvent.TARGET, Exception, ErrorCode.TRANSPORT_RESOLUTION_FAILED),
    ErrorRow(LeaseEvent.SYNC_BACK, Exception, ErrorCode.WORKSPACE_SYNC_FAILED),
)


def check(table: tuple[ErrorRow, ...]) -> tuple[ErrorRow, ...]:
    """The table itself. Raises ``ValueError`` for a code that its event does not allow, or an event
    whose errors do not all find one."""
    for row in table:
        if row.code not in transition(row.event).codes:
            raise ValueError(f"{row.event} does not fail with {row.code}")
    total = {row.event for row in table if row.error is Exception}
    missing = {event for event in LeaseEvent if transition(event).callback} - total
    if missing:
        raise ValueError(f"not every error of {', '.join(sorted(missing))} has a code")
    return table


def code(event: LeaseEvent, error: BaseException) -> ErrorCode:
    """The code of this error at this event."""
    return next(row.code for row in _CHECKED if row.event is event and isinstance(error, row.error))


_CHECKED = check(ERROR_TABLE)
