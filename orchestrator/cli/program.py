"""The program: its global options, and how each of its ends becomes an exit code."""

import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer
from leasehold.orchestrator.cli.choices import Choices
from leasehold.orchestrator.cli.commands import COMMANDS, Command
from leasehold.orchestrator.cli.group import LazyGroup, group_of, help_where_alone

_ABOUT = """Leases execution environments to runs, and leaks none."""

_EXAMPLES = """\
Examples:
  Run the tests in a git worktree of their own, which is gone afterwards:
    leasehold run --mode git_worktree --provision 'python3 -m venv .v && .v/bin/pip install -e .' -- .v/bin/pytest -q

  Hold a copy of this folder, use it twice, give it back:
    lease=$(leasehold acquire --mode copy)
    leasehold exec $lease -- make
    leasehold exec $lease -- make test
    leasehold release $lease

  What is stuck, and which command helps:
    leasehold ls --stuck

Any unique beginning of a lease's id will do. Durations are 90, 90s, 5m, 2h or 7d.
Without --store and LEASEHOLD_STORE, the store is a SQLite file in your state folder.
"""


def program(arguments: list[str]) -> int:
    """Run the command that the arguments name, and give the exit code. Prints every error; raises none."""
    choices = Choices()
    _have_all_streams()
    try:
        code = _group().main(args=arguments, prog_name="leasehold", standalone_mode=False, obj=choices)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - this is the end: whatever it is becomes a line and a code
        from leasehold.orchestrator.cli.failure import report

        code = report(error, choices)
    return int(code or 0)


def leave(code: int) -> NoReturn:
    """End the process. The work is done and every thread joined: Python's own way out, which takes apart
    every module first, would cost a short command a quarter of its time, and lets a signal print a trace.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # the reader has gone, or the stream never was: what is buffered has nowhere to go
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
    os._exit(code)


def remember(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> None:
    """Keep a global option, wherever it was given."""
    if value:
        setattr(context.find_root().obj, str(parameter.name), value)


def show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"leasehold {version('leasehold')}")
        raise typer.Exit


def options(
    context: typer.Context,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URL", callback=remember, expose_value=False, help="Use this store: a SQLAlchemy URL."
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", callback=remember, expose_value=False, help="Show the trace of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, expose_value=False, help="Show the version."),
    ] = False,
) -> None:
    help_where_alone(context)


def _group() -> LazyGroup:
    group = group_of(Command("leasehold", _ABOUT, f"{__name__.rpartition('.')[2]}:options", commands=COMMANDS))
    group.epilog = _EXAMPLES
    group.shared = tuple(parameter for parameter in group.params if parameter.name in ("store", "debug"))
    return group


def _have_all_streams() -> None:
    """A stream that the caller closed goes nowhere, instead of into the next file that is opened.

    A name that the terminal's encoding lacks is shown with escapes, and fails nothing.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free: this one
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115 - for the process's life
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
