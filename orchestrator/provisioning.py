"""How a provision command failed."""

from leasehold.drivers import Outcome, Result


def provision_detail(result: Result) -> str:
    """How a provision command failed, in the original's words."""
    if result.outcome is Outcome.TIMED_OUT:
        return "provision command timed out"
    signal = "" if result.signal is None else f" (signal {result.signal})"
    exit_code = "null" if result.exit_code is None else str(result.exit_code)
    lines = (*result.stderr.text.splitlines(), *result.stdout.text.splitlines())
    detail = next((line.strip() for line in lines if line.strip()), "")
    return f"exit code {exit_code}{signal}" + (f": {detail[:500]}" if detail else "")


def exit_detail(status: int) -> str:
    """How a provision command failed that nobody heard the end of."""
    return f"exit code {status}"
