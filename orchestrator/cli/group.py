"""Groups of commands whose modules are imported on demand, and commands that pass arguments on."""

import os
from importlib import import_module
from typing import Any

import typer
from leasehold.orchestrator.cli.commands import Command
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

# what the parser says of a word that may be the command's own
_PERHAPS_THE_COMMAND = ("No such option", "Got unexpected extra argument")


class OwnCommand(TyperCommand):
    """A command whose wrong usage is told with this command's own help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:  # as where an option lacks its value
                error.ctx = ctx  # type: ignore[attr-defined]
            raise


class PassingCommand(OwnCommand):
    """A command that leaves what follows ``--`` alone: it finds it in ``context.args``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" not in args:
            try:
                return super().parse_args(ctx, args)
            except typer.TyperException as error:
                if not error.format_message().startswith(_PERHAPS_THE_COMMAND):
                    raise
                from leasehold.orchestrator.errors import WrongUsage  # --help does not need it

                needed = [param.metavar for param in self.params if param.required and param.metavar]
                usage = " ".join((ctx.command_path, *needed, "-- make test"))
                raise WrongUsage(error.format_message(), hint=f"the command goes after --, as in: {usage}") from error
        at = args.index("--")
        super().parse_args(ctx, args[:at])
        ctx.args = args[at + 1 :]
        return args[at + 1 :]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


class LazyGroup(TyperGroup):
    """A group made from rows of the table of commands."""

    rows: tuple[Command, ...] = ()
    shared: tuple[Any, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return [row.name for row in self.rows]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        row = next((row for row in self.rows if row.name == cmd_name), None)
        if row is None:
            self.commands = {row.name: TyperCommand(row.name) for row in self.rows}  # suggestions are made from it
            return None
        command: Any = group_of(row, self.shared) if row.commands else _leaf(row)
        command.params += self.shared
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for section in dict.fromkeys(row.section for row in self.rows):
            with formatter.section(section or "Commands"):
                formatter.write_dl([(row.name, row.summary) for row in self.rows if row.section == section])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(self.epilog)


def group_of(row: Command, shared: tuple[Any, ...] = ()) -> LazyGroup:
    """The group of a row; its own function runs where no command of it is named (none: its help)."""
    app = typer.Typer(
        name=row.name,
        cls=LazyGroup,
        help=row.summary,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=_settings(),
    )
    app.callback()(_function(row) if row.target else help_where_alone)
    group = get_group(app)
    assert isinstance(group, LazyGroup)
    group.rows, group.shared = row.commands, shared
    return group


def help_where_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _leaf(row: Command) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_settings())
    app.command(row.name, cls=PassingCommand if row.passes_on else OwnCommand)(_function(row))
    return get_command(app)


def _function(row: Command) -> Any:
    module, _, name = row.target.partition(":")
    return getattr(import_module(f"{__package__}.{module}"), name)


def _settings() -> dict[str, Any]:
    return {"help_option_names": ["-h", "--help"], "max_content_width": 100, "terminal_width": _width()}


def _width() -> int:
    try:
        return min(100, os.get_terminal_size(1).columns)
    except OSError:
        return 100
