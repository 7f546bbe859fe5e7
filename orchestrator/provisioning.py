"""How a provision command failed."""

from contextlib import suppress

from leasehold.drivers import Outcome, Refused, Result
from leasehold.orchestrator.fingerprint import secrets_of
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.redaction import Redaction

_KEPT = 4096  # characters


class ProvisionFailed(Refused):
    """The command was run, and did not end well. ``stderr`` is the last that it said of it."""

    def __init__(self, result: Result, redaction: Redaction) -> None:
        super().__init__(redaction.clean(provision_detail(result)))
        self.stderr = redaction.clean(result.stderr.text)[-_KEPT:]  # cut last: no secret is left by its half


def told_to(lease: Lease) -> Redaction:
    """Knows the values that the lease's command was given: its variables, and its config's secrets. May block."""
    known = Redaction()
    known.learn(lease.terms.request.variables.values())
    for secret in secrets_of(lease.config):
        with suppress(Refused):  # what cannot be read was not given
            known.learn([secret.resolve()])
    return known


def provision_detail(result: Result) -> str:
    """How a provision command failed, in the original's words."""
    if result.outcome is Outcome.TIMED_OUT:
        return "provision command timed out"
    if result.lost:
        return f"the place was lost while the provision command ran: {result.lost}"
    signal = "" if result.signal is None else f" (signal {result.signal})"
    exit_code = "null" if result.exit_code is None else str(result.exit_code)
    lines = (*result.stderr.text.splitlines(), *result.stdout.text.splitlines())
    silent = "the place has no bash" if result.error == "not_found" else ""
    detail = next((line.strip() for line in lines if line.strip()), silent)
    return f"exit code {exit_code}{signal}" + (f": {detail[:500]}" if detail else "")


def exit_detail(status: int) -> str:
    """How a provision command failed that nobody heard the end of."""
    return f"exit code {status}"
