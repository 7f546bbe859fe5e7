"""One command's session with the store: opened, used, closed, whatever signal comes."""

import asyncio
import gc
import os
import signal
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import typer
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.failure import Signalled, line, say
from leasehold.orchestrator.errors import LeaseholdError, WrongUsage
from leasehold.orchestrator.offer import first_problem
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.orchestrator.settings import Settings
from pydantic import ValidationError
from pydantic_settings import SettingsError

Work = Callable[[Orchestrator], Awaitable[int]]

QUESTION_SECONDS = 60.0


def perform(
    context: typer.Context, work: Work, *, seconds: float | None = QUESTION_SECONDS, makes: bool = False
) -> int:
    """Do the work with the store open, and give its exit code.

    ``seconds`` bounds a question; work that fires steps has the steps' own deadlines instead. A store that is
    named and not there is only made by work that ``makes`` something: for all other it is a slip of the pen.
    SIGINT, SIGTERM and SIGHUP cancel the work; ``Signalled`` is raised once it has settled.
    """
    choices = choices_of(context)
    gc.freeze()
    gc.enable()
    settings = settings_of(choices)
    makes = makes or not settings.store
    return asyncio.run(_until_signalled(_opened(choices, settings, work, seconds, makes), choices))


def choices_of(context: typer.Context) -> Choices:
    """The global options."""
    choices = context.find_root().obj
    assert isinstance(choices, Choices)
    return choices


def settings_of(choices: Choices) -> Settings:
    """The settings, with the store that was named. Raises ``WrongUsage``."""
    file = Settings.file()
    hint = f"mend the LEASEHOLD_* variable, or {file}"
    try:
        settings = Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][0])
            nearest = Settings.nearest(name)
            hint = f"mean {nearest}, or leave it out" if nearest else "leave it out"
            raise WrongUsage(f"{file}: there is no setting {name}", hint=hint) from error
        raise WrongUsage(f"setting {first_problem(error)}", hint=hint) from error
    except (SettingsError, tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise WrongUsage(f"the settings cannot be read: {error}", hint=hint) from error
    return settings if choices.store is None else settings.model_copy(update={"store": choices.store})


async def _opened(choices: Choices, settings: Settings, work: Work, seconds: float | None, makes: bool) -> int:
    if not choices.debug:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    try:
        async with asyncio.timeout(seconds), Orchestrator.open(settings=settings, make=makes) as orchestrator:
            return await work(orchestrator)
    except TimeoutError as error:
        if seconds is None:
            raise
        raise LeaseholdError(f"no answer within {seconds:g} s", hint="see whether leasehold doctor answers") from error


async def _until_signalled(work: Coroutine[Any, Any, int], choices: Choices) -> int:
    task = asyncio.ensure_future(work)
    received = on_signals(task.cancel)
    try:
        code = await task
    except asyncio.CancelledError:
        if received:
            raise Signalled(received[0]) from None
        raise
    except Exception as error:
        if received:
            say(line(error))
            raise Signalled(received[0]) from error
        raise
    if received and code == choices.lifecycle_failed:  # what failed is told; the signal was first
        raise Signalled(received[0])
    return code


def on_signals(first: Callable[[], object]) -> list[int]:
    """Have the first SIGINT, SIGTERM or SIGHUP call ``first``, and the third end this process; gives what came."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            first()
        elif len(received) == 2:
            say("leasehold: still ending what was begun; the same again leaves it as it is")
        else:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup is respected
            loop.add_signal_handler(number, on_signal, number)
    return received
