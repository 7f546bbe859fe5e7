"""How an error is told: one line that says what is wrong and what to do, and an exit code."""

import asyncio
import sys
import traceback

import typer
from leasehold.drivers import DriverError
from leasehold.drivers.shown import shown
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.errors import (
    EnvironmentRunError,
    IllegalTransition,
    LeaseholdError,
    LeaseLost,
    NoSuch,
    StoreAbsent,
    StoreError,
    StoreUrlWrong,
    WrongUsage,
)
from leasehold.states import ErrorCode

DONE = 0
NO = 1
WRONG_USAGE = 2
LIFECYCLE_FAILED = 125
_PIPE_CLOSED = 141


class Signalled(Exception):
    """A signal ended the command; everything is settled. ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


def report(error: BaseException, choices: Choices) -> int:
    """Tell an error on stderr; gives the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else NO
    if choices.debug:
        say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, Signalled):
        return 128 + error.number
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError | typer.Abort):
        return 130
    if isinstance(error, BrokenPipeError):
        return _PIPE_CLOSED
    say(line(error))
    return _code(error, choices)


def line(error: BaseException) -> str:
    """The error in one line."""
    hint = str(getattr(error, "hint", "") or "")
    match error:
        case EnvironmentRunError():
            text = f"{error.code}: {error.message}"
        case LeaseLost():
            text = f"{ErrorCode.LEASE_OWNER_LOST}: {error}"
        case LeaseholdError() | StoreError() | IllegalTransition():
            text = str(error)
        case DriverError():
            text = str(error) or error.__class__.__name__
        case typer.TyperException():
            text, hint = error.format_message(), f"{_path(error)} --help shows how it is used"
        case OSError():
            text, hint = str(error), "see whether the disk, the file or the descriptor can be used"
        case _:
            text = f"{error.__class__.__name__}: {error}"
            hint = "this is a defect of Leasehold, or of a driver that is a plug-in: report it with what --debug shows"
    return f"error: {joined(text, hint)}"


def joined(text: str, hint: str) -> str:
    """A message and what to do about it, in one line without control characters."""
    whole = f"{text.strip().rstrip('.')}; {hint}" if hint else text
    return shown(" ".join(part.strip() for part in whole.splitlines() if part.strip()))


def say(text: str) -> None:
    """Write a line to stderr, where anybody still reads it."""
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is a command's output
    except OSError:
        return


def warn(text: str, hint: str = "") -> None:
    """A warning: what was asked for is done, but something beside it is not."""
    say(f"warning: {joined(text, hint)}")


def _code(error: BaseException, choices: Choices) -> int:
    match error:
        case WrongUsage() | StoreUrlWrong() | typer.TyperException():
            return WRONG_USAGE
        case NoSuch() | StoreAbsent():
            return NO
        case _:
            return choices.lifecycle_failed


def _path(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return "leasehold" if context is None else str(context.command_path)
