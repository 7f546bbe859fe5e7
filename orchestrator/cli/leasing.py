"""The options that ask for a lease: those that ``run`` and ``acquire`` share."""

import os
import re
from typing import Annotated, Any, TypeAlias

import typer
from leasehold.orchestrator.errors import WrongUsage

Env: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="ENV", show_default=False, help="The environment; none: the local one."),
]
Workspace: TypeAlias = Annotated[str, typer.Option(metavar="DIR", help="The tree to work on.")]
Mode: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="M",
        help="How the tree is used: in_place, copy or git_worktree. Default: the driver's first, in_place of local.",
    ),
]
Provision: TypeAlias = Annotated[
    str | None, typer.Option(metavar="CMD", help="Run this by bash in the place before anything else.")
]
Policy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="P",
        help="What becomes of the place: ephemeral, retain_on_failure, reuse_by_environment or "
        "reuse_by_execution_workspace. Default: the environment's.",
    ),
]
Keep: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="on-failure[,T]", help="Keep the place of a failed run for T (default 24h)."),
]
RunId: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="The run's id. Default: a new one.")]
Issue: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="What the run is for; carried through.")]
Agent: TypeAlias = Annotated[str | None, typer.Option(metavar="ID", help="Who runs; carried through.")]
Adapter: TypeAlias = Annotated[
    str | None, typer.Option(metavar="A", help="The kind of program that runs, such as claude_local or shell.")
]
Variables: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--env", metavar="NAME[=VALUE]", help="Give commands this variable; NAME alone passes on this shell's value."
    ),
]
Untracked: TypeAlias = Annotated[
    bool, typer.Option("--untracked", help="Take along what git does not track and does not ignore.")
]
SyncBack: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="W", help="Bring changes back into the tree: on-success, always or never."),
]
Ttl: TypeAlias = Annotated[str | None, typer.Option(metavar="T", help="The lease ends after T at the latest.")]
Wait: TypeAlias = Annotated[
    str | None, typer.Option(metavar="T", help="Where the environment is full, wait for a place for T, in turn.")
]
Share: TypeAlias = Annotated[bool, typer.Option("--share", help="Do not hold the tree for this lease alone.")]
Timeout: TypeAlias = Annotated[str | None, typer.Option(metavar="T", help="End the command after T: exit code 124.")]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def request(
    *,
    env: str | None,
    keep: str | None,
    policy: str | None,
    variables: list[str] | None,
    **others: Any,
) -> dict[str, Any]:
    """The arguments of ``Orchestrator.acquire``. Raises ``WrongUsage``."""
    asked = {**others, "environment": env, "policy": policy, "env": values(variables)}
    if keep is not None:
        if policy is not None:
            raise WrongUsage("--keep and --policy exclude each other", hint="--keep is --policy retain_on_failure")
        word, comma, keep_for = keep.partition(",")
        if word != "on-failure" or (comma and not keep_for):
            raise WrongUsage(f"--keep does not know {keep!r}", hint="write on-failure, or on-failure,2h")
        asked["policy"] = "retain_on_failure"
        if keep_for:
            asked["keep_for"] = keep_for
    return asked


def values(variables: list[str] | None) -> dict[str, str]:
    """Variables by name; a name alone has this process's value. Raises ``WrongUsage``."""
    given: dict[str, str] = {}
    for variable in variables or ():
        name, equals, value = variable.partition("=")
        if _VARIABLE.fullmatch(name) is None:
            raise WrongUsage("--env takes NAME or NAME=VALUE", hint="a name is made of letters, digits and _")
        if not equals:
            passed = os.environ.get(name)
            if passed is None:
                raise WrongUsage(f"--env {name}: the variable is not set here", hint=f"set it, or write {name}=VALUE")
            value = passed
        given[name] = value
    return given
