"""The arguments of a lease, as ``Orchestrator.acquire`` takes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from leasehold.drivers import Mode
from leasehold.orchestrator.request import OwnerLost, SyncBack
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
