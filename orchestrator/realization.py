"""The original's realization request and record, version 1, in snake case."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from leasehold.drivers import Mode
from leasehold.orchestrator.lease import Lease

_REMOTE = ("host", "port", "username", "sandbox_id")


def field_of(value: object, name: str) -> Any:
    """A field of a platform's value, an object or a mapping; none where it has none."""
    if isinstance(value, Mapping):
        return cast(Mapping[str, Any], value).get(name)
    return getattr(value, name, None)


class Carried(TypedDict):
    """What a lease carries of its execution workspace, as ``Request`` names it."""

    execution_workspace_id: str | None
    execution_workspace_mode: str | None


def carried(persisted: object) -> Carried:
    """The platform's own record of a tree, as text; its ids may be of any class."""
    return {
        "execution_workspace_id": _text(field_of(persisted, "id")),
        "execution_workspace_mode": _text(field_of(persisted, "mode")),
    }


def realization_request(
    *,
    adapter_type: str | None,
    company_id: str,
    environment_id: str | None,
    issue_id: str | None,
    run_id: str,
    execution_workspace: object,
    effective_mode: str | None,
    persisted: object,
) -> dict[str, Any]:
    """What is asked for: the tree as its platform made it, and what is to be run there."""
    config = field_of(persisted, "config")
    workspace = execution_workspace
    return {
        "version": 1,
        "adapter_type": adapter_type,
        "company_id": company_id,
        "environment_id": environment_id,
        "execution_workspace_id": _text(field_of(persisted, "id")),
        "issue_id": issue_id,
        "run_id": run_id,
        "requested_mode": _text(field_of(persisted, "mode")) or effective_mode,
        "source": {
            "kind": field_of(workspace, "source"),
            "local_path": str(field_of(workspace, "cwd") or ""),
            "project_id": field_of(workspace, "project_id"),
            "project_workspace_id": field_of(workspace, "workspace_id"),
            "repo_url": field_of(workspace, "repo_url"),
            "repo_ref": field_of(workspace, "repo_ref"),
            "strategy": field_of(workspace, "strategy"),
            "branch_name": field_of(workspace, "branch_name"),
            "worktree_path": field_of(workspace, "worktree_path"),
        },
        "runtime_overlay": {
            "provision_command": field_of(config, "provision_command"),
            "teardown_command": field_of(config, "teardown_command"),
            "cleanup_command": field_of(config, "cleanup_command"),
            "workspace_runtime": field_of(config, "workspace_runtime"),
        },
    }


def realization_record(lease: Lease, request: Mapping[str, Any]) -> dict[str, Any]:
    """How the tree stands in the lease's place; empty where its driver said nothing of that."""
    said = lease.realization or {}
    if not any(said.get(name) for name in ("authoritative_root", "local", "remote", "summary")):
        return {}
    source, remote = request["source"], said["remote"]
    remote_path = None if said["transport"] == "local" else remote.get("path") or said["cwd"]
    mode = Mode.IN_PLACE if said["mode"] == Mode.IN_PLACE else Mode.COPY
    return {
        "version": 1,
        "mode": mode.value,
        "authoritative_root": said["authoritative_root"].strip() or source["local_path"],
        "path_aliases": said["path_aliases"],
        "outbound_restore_paths": said["outbound_restore_paths"],
        "transport": said["transport"],
        "provider": lease.provider,
        "environment_id": lease.environment_id,
        "lease_id": lease.id,
        "provider_lease_id": lease.provider_lease_id,
        "local": {
            "path": source["local_path"],
            "source": source["kind"],
            **{
                name: source[name]
                for name in (
                    "strategy",
                    "project_id",
                    "project_workspace_id",
                    "repo_url",
                    "repo_ref",
                    "branch_name",
                    "worktree_path",
                )
            },
        },
        "remote": {"path": remote_path, **{name: remote[name] for name in _REMOTE if remote.get(name)}},
        "sync": {name: said["sync"].get(name) for name in ("strategy", "prepare", "sync_back")},
        "bootstrap": {"command": request["runtime_overlay"]["provision_command"]},
        "rebuild": {
            "execution_workspace_id": request["execution_workspace_id"],
            "mode": request["requested_mode"],
            "repo_url": source["repo_url"],
            "repo_ref": source["repo_ref"],
            "local_path": source["local_path"],
            "remote_path": remote_path,
            "provider_lease_id": lease.provider_lease_id,
        },
        "summary": said["summary"],
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
