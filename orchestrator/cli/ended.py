"""How a command ended, as an exit code and in words; and what is left to say of an ended lease."""

from collections.abc import Sequence

from leasehold.drivers import Outcome, Result
from leasehold.orchestrator.cli.aftermath import Aftermath, aftermath
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.failure import LIFECYCLE_FAILED, say, warn
from leasehold.orchestrator.errors import NoSuch, StoreError
from leasehold.orchestrator.orchestrator import Orchestrator

_TIMED_OUT = 124
_NEVER_RAN = {"not_executable": 126, "not_found": 127}


def exit_code(result: Result) -> int:
    """The exit code that stands for a command's end."""
    if result.error is not None:
        return _NEVER_RAN.get(result.error, LIFECYCLE_FAILED)
    match result.outcome:
        case Outcome.EXITED if result.signal is not None:
            return 128 + result.signal
        case Outcome.EXITED if result.exit_code is not None:
            return result.exit_code
        case Outcome.TIMED_OUT:
            return _TIMED_OUT
        case _:
            return LIFECYCLE_FAILED


def in_words(result: Result, argv: Sequence[str]) -> str:
    """How a command failed, in one line."""
    if result.error == "not_found":
        return f"{argv[0]}: command not found"
    if result.error is not None:
        return f"{argv[0]}: {result.error.replace('_', ' ')}"
    match result.outcome:
        case Outcome.TIMED_OUT:
            return f"the command timed out after {result.duration:.1f} s"
        case Outcome.TARGET_LOST:
            return f"the place was lost while the command ran{f': {result.lost}' if result.lost else ''}"
        case Outcome.CANCELLED:
            return "the command was ended"
        case Outcome.EXITED if result.signal is not None:
            return f"the command was ended by signal {result.signal}"
        case Outcome.EXITED:
            return f"the command exited with {result.exit_code}"


def tell_never_ran(result: Result, argv: Sequence[str]) -> None:
    """Say why a command gave no exit code of its own, where nobody else has said it."""
    if result.error is not None or result.outcome is not Outcome.EXITED:
        code = "" if exit_code(result) != LIFECYCLE_FAILED else "run_failed: "
        say(f"error: {code}{in_words(result, argv)}")


async def tell_what_is_left(orchestrator: Orchestrator, lease_id: str, choices: Choices) -> Aftermath:
    """Say where a place or changes were kept and what opens them, or that the cleanup failed."""
    left = await aftermath(orchestrator, await orchestrator.ledger.find(orchestrator.settings.company, lease_id))
    for line in left.lines(choices):
        say(line)
    return left


async def tell_what_is_left_after(orchestrator: Orchestrator, lease_id: str, choices: Choices) -> None:
    """The same, after an error that was told and that stands, whatever the store answers now."""
    try:
        await tell_what_is_left(orchestrator, lease_id, choices)
    except NoSuch:
        return  # the store never took it: nothing was begun, so nothing is left
    except StoreError as error:
        warn(f"what is left of lease {lease_id} cannot be read: {error}", error.hint)
