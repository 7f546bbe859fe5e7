"""Arguments and options that several commands share."""

from typing import Annotated, TypeAlias

import typer

LeaseId: TypeAlias = Annotated[str, typer.Argument(metavar="LEASE", help="Its id, or any unique beginning of it.")]
EnvironmentName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The environment's name or id.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Take it over from a living owner, which loses it at its next step.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Do not show the steps.")]
