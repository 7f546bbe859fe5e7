"""The arguments of a lease, as ``Orchestrator.acquire`` takes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from sys import intern
from typing import Any, TypedDict

from leasehold.drivers import Mode
from leasehold.orchestrator.errors import WrongUsage
from leasehold.orchestrator.request import OwnerLost, Request, SyncBack
from leasehold.orchestrator.step import Listener
from leasehold.states import Policy


class LeaseArguments(TypedDict, total=False):
    """What ``Orchestrator.lease`` passes on to ``acquire``, each under the same name."""

    environment: str | None
    workspace: str | Path
    mode: str | Mode | None
    branch: str | None
    untracked: bool
    excludes: Iterable[str]
    provision: str | None
    provision_timeout: float | str
    policy: str | Policy | None
    keep_for: float | str
    ttl: float | str | None
    wait: float | str | None
    share: bool
    sync_back: str | SyncBack | None
    owner_lost: str | OwnerLost
    run_id: str | None
    issue_id: str | None
    agent_id: str | None
    adapter_type: str | None
    company_id: str | None
    env: Mapping[str, str] | None
    listener: Listener | None


def check_ids(request: Request) -> None:
    """Raise ``WrongUsage`` for ids that cannot be stored."""
    ids = f"{request.company_id}{request.run_id}{request.issue_id}{request.agent_id}{request.adapter_type}"
    if not _is_text(ids):
        raise WrongUsage("an id of the run is no text")


def _is_text(value: str) -> bool:
    """Whether every store can keep it as text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def absolute(path: str | Path) -> str:
    """A path as it is stored."""
    return intern(str(Path(path).expanduser().absolute()))  # one tree is leased many times


def member(kind: Any, value: Any, name: str) -> Any:
    """The member of an enum that a value names; none for none. Raises ``WrongUsage``, with what there is."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise WrongUsage(f"there is no {name} {value!r}", hint=f"use one of: {known}") from None
