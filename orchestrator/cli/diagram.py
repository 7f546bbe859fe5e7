"""``leasehold diagram``: the machine, or one lease's path on it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from leasehold.orchestrator.cli.session import perform
from leasehold.orchestrator.errors import LeaseholdError, WrongUsage
from leasehold.orchestrator.orchestrator import Orchestrator
from leasehold.states import Entry
from leasehold.states.dot import machine_dot, path_dot
from leasehold.states.mermaid import machine_mermaid, path_mermaid
from leasehold.states.path_svg import path_svg
from leasehold.states.svg import machine_svg

_MACHINE = {"mermaid": machine_mermaid, "dot": machine_dot, "svg": machine_svg}
_PATH = {"mermaid": path_mermaid, "dot": path_dot, "svg": path_svg}
_FORMATS = (*_MACHINE, "png")
_ENDINGS = {".mmd": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg", ".png": "png"}
_ENLARGED = 2.0


def diagram(
    context: typer.Context,
    lease: Annotated[
        str | None,
        typer.Argument(metavar="LEASE", show_default=False, help="Draw its path; none: the machine."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="F", help="mermaid, dot, svg or png; by default what -o ends with, else mermaid."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, not to stdout.")
    ] = None,
) -> int:
    """Draw the machine, or one lease's path on it with its times."""
    chosen = _format(form, output)
    if lease is None:
        _write(_drawn(chosen, None), output)
        return 0

    async def work(orchestrator: Orchestrator) -> int:
        _write(_drawn(chosen, await orchestrator.journal(lease)), output)
        return 0

    return perform(context, work)


def _format(form: str | None, output: str | None) -> str:
    if form is None:
        form = _ENDINGS.get(Path(output or "").suffix.lower(), "mermaid")
    if form not in _FORMATS:
        raise WrongUsage(f"there is no format {form!r}", hint=f"use one of: {', '.join(_FORMATS)}")
    if form == "png" and output is None and sys.stdout.isatty():
        raise WrongUsage("a PNG is no text", hint="name a file with -o")
    return form


def _drawn(form: str, journal: list[Entry] | None) -> bytes:
    form, raster = ("svg", True) if form == "png" else (form, False)
    text = _MACHINE[form]() if journal is None else _PATH[form](journal)
    return _raster(text) if raster else text.encode()


def _raster(svg: str) -> bytes:
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        hint = "pip install '.[png]' in a clone of Leasehold, or use --format svg"
        raise LeaseholdError("PNG needs an extra", hint=hint) from error
    return bytes(svg_to_bytes(svg_string=svg, zoom=_ENLARGED))


def _write(drawn: bytes, output: str | None) -> None:
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(drawn)
        return
    try:
        Path(output).write_bytes(drawn)
    except OSError as error:
        raise LeaseholdError(
            f"{output} cannot be written: {error.strerror}", hint="name another file with -o"
        ) from error
