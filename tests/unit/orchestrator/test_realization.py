"""The original's values, key by key: the realization request and record, version 1."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from leasehold.orchestrator import ExecutionWorkspaceConfig, Orchestrator
from leasehold.orchestrator.realization import realization_request
from platform_run import acquired, box, realized

TREE = {
    "cwd": "/srv/tree",
    "source": "task_session",
    "strategy": "git_worktree",
    "project_id": "P-1",
    "workspace_id": "W-1",
    "repo_url": "https://example.invalid/r.git",
    "repo_ref": "main",
    "branch_name": "agent/1",
    "worktree_path": "/srv/tree",
}
CONFIG = ExecutionWorkspaceConfig(None, "make", "stop", "rm -r x", {"services": []})
REQUEST: dict[str, Any] = {
    "version": 1,
    "adapter_type": "claude_local",
    "company_id": "c",
    "environment_id": "e",
    "execution_workspace_id": "ew",
    "issue_id": "I-1",
    "run_id": "r",
    "requested_mode": "isolated_workspace",
    "source": {
        "kind": "task_session",
        "local_path": "/srv/tree",
        "project_id": "P-1",
        "project_workspace_id": "W-1",
        "repo_url": "https://example.invalid/r.git",
        "repo_ref": "main",
        "strategy": "git_worktree",
        "branch_name": "agent/1",
        "worktree_path": "/srv/tree",
    },
    "runtime_overlay": {
        "provision_command": "make",
        "teardown_command": "stop",
        "cleanup_command": "rm -r x",
        "workspace_runtime": {"services": []},
    },
}


def request(execution_workspace: object, persisted: object, effective_mode: str | None = None) -> dict[str, Any]:
    return realization_request(
        adapter_type="claude_local",
        company_id="c",
        environment_id="e",
        issue_id="I-1",
        run_id="r",
        execution_workspace=execution_workspace,
        effective_mode=effective_mode,
        persisted=persisted,
    )


def test_the_request_of_dictionaries_and_of_objects() -> None:
    kept = {"id": "ew", "mode": "isolated_workspace", "config": CONFIG}
    assert request(TREE, kept, "shared_workspace") == REQUEST
    assert request(SimpleNamespace(**TREE), SimpleNamespace(**kept)) == REQUEST


def test_without_an_execution_workspace_the_effective_mode_counts() -> None:
    made = request(TREE, None, "shared_workspace")
    assert (made["requested_mode"], made["execution_workspace_id"]) == ("shared_workspace", None)
    assert set(made["runtime_overlay"].values()) == {None}


async def test_the_record_on_local(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator)
    ours = {**TREE, "cwd": str(tree)}
    kept = {"id": "ew", "mode": "isolated_workspace", "config": CONFIG}
    result = await realized(orchestrator, held, tree, execution_workspace=ours, persisted_execution_workspace=kept)
    assert result.workspace_realization == {
        "version": 1,
        "mode": "in_place",
        "authoritative_root": str(tree),
        "path_aliases": [],
        "outbound_restore_paths": [],
        "transport": "local",
        "provider": "local",
        "environment_id": held.environment.id,
        "lease_id": held.lease.id,
        "provider_lease_id": held.lease.provider_lease_id,
        "local": {
            "path": str(tree),
            "source": "task_session",
            "strategy": "git_worktree",
            "project_id": "P-1",
            "project_workspace_id": "W-1",
            "repo_url": "https://example.invalid/r.git",
            "repo_ref": "main",
            "branch_name": "agent/1",
            "worktree_path": "/srv/tree",
        },
        "remote": {"path": None},
        "sync": {"strategy": "none", "prepare": "none", "sync_back": "none"},
        "bootstrap": {"command": "make"},
        "rebuild": {
            "execution_workspace_id": "ew",
            "mode": "isolated_workspace",
            "repo_url": "https://example.invalid/r.git",
            "repo_ref": "main",
            "local_path": str(tree),
            "remote_path": None,
            "provider_lease_id": held.lease.provider_lease_id,
        },
        "summary": f"{tree} is used in place",
    }


async def test_the_record_elsewhere_has_its_remote_side(orchestrator: Orchestrator, tree: Path) -> None:
    held = await acquired(orchestrator, await box(orchestrator))
    record = (await realized(orchestrator, held, tree)).workspace_realization
    assert (record["mode"], record["transport"], record["provider"]) == ("copy", "sandbox", "scripted")
    assert record["remote"] == {"path": held.lease.cwd}
    assert record["rebuild"]["remote_path"] == held.lease.cwd
