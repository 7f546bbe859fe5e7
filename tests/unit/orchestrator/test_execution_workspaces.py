"""Our own execution workspaces: what a platform records of a tree, company by company."""

from dataclasses import asdict
from typing import Any

import pytest
from leasehold.orchestrator import ExecutionWorkspaceConfig, Orchestrator, Strategy, WorkspaceMode, WrongUsage


async def test_what_is_added_is_read_back(orchestrator: Orchestrator) -> None:
    config = ExecutionWorkspaceConfig("env", "make", "stop", "rm", {"services": [{"name": "db"}]})
    made = await orchestrator.execution_workspaces.add(
        "a", mode=WorkspaceMode.OPERATOR_BRANCH, strategy=Strategy.GIT_WORKTREE, config=config, metadata={"k": [1]}
    )
    assert (made.mode, made.strategy, made.config, made.metadata) == (
        "operator_branch",
        "git_worktree",
        config,
        {"k": [1]},
    )
    assert await orchestrator.execution_workspaces.get("a", made.id) == made


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    config = ExecutionWorkspaceConfig("env", "make")
    assert ExecutionWorkspaceConfig.from_json({**asdict(config), "of_tomorrow": 1}) == config


async def test_metadata_is_replaced(orchestrator: Orchestrator) -> None:
    workspaces = orchestrator.execution_workspaces
    made = await workspaces.add("a", mode="shared_workspace", metadata={"old": 1})
    updated = await workspaces.update_metadata("a", made.id, {"new": 2})
    assert updated is not None
    assert updated.metadata == {"new": 2}
    assert await workspaces.get("a", made.id) == updated
    assert await workspaces.update_metadata("a", "nowhere", {}) is None


@pytest.mark.parametrize("wrong", [{"mode": "in_place"}, {"mode": "shared_workspace", "strategy": "copy"}])
async def test_a_mode_or_strategy_that_there_is_none_of_is_wrong_usage(orchestrator: Orchestrator, wrong: Any) -> None:
    with pytest.raises(WrongUsage, match="there is no"):
        await orchestrator.execution_workspaces.add("a", **wrong)


async def test_another_company_sees_none(orchestrator: Orchestrator) -> None:
    workspaces = orchestrator.execution_workspaces
    made = await workspaces.add("a", mode="shared_workspace")
    assert await workspaces.get("b", made.id) is None
    assert await workspaces.update_metadata("b", made.id, {"taken": True}) is None
    assert await workspaces.of("b").get(made.id) is None
    assert await workspaces.of("a").get(made.id) == made
    await orchestrator.drop_company("a")
    assert await workspaces.get("a", made.id) is None
