"""The original's rule 6: the record stands on the lease and on the execution workspace, where it says something."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers import Context, Handle, Realization, Workspace
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import ExecutionWorkspaceConfig, Orchestrator, Settings
from leasehold.orchestrator.verify import verify
from leasehold.states import LeaseState
from platform_run import COMPANY, acquired, box, configured, realized


@pytest.fixture(autouse=True)
async def _content(orchestrator: Orchestrator) -> Any:
    yield
    assert [finding async for finding in verify(orchestrator.store)] == []


async def test_the_record_stands_on_lease_and_execution_workspace(orchestrator: Orchestrator, tree: Path) -> None:
    ours = await orchestrator.execution_workspaces.add(
        COMPANY,
        mode="isolated_workspace",
        config=ExecutionWorkspaceConfig(provision_command="make"),
        metadata={"mine": 1, "workspace_realization": "of an earlier run"},
    )
    held = await acquired(orchestrator, await box(orchestrator), persisted_execution_workspace=ours)
    before = held.lease.metadata
    result = await realized(orchestrator, held, tree, persisted_execution_workspace=ours)
    record = result.workspace_realization
    assert result.lease.metadata == {**before, "workspace_realization": record}
    kept = await orchestrator.execution_workspaces.get(COMPANY, ours.id)
    assert kept == result.persisted_execution_workspace
    assert kept is not None
    assert kept.metadata["mine"] == 1
    assert kept.metadata["workspace_realization"] == record
    assert kept.metadata["workspace_realization_request"]["execution_workspace_id"] == ours.id
    row = await orchestrator.ledger.find(COMPANY, held.lease.id)
    assert '"workspace_realization"' in (row.papers["metadata"] or "")


class Silent(ScriptedDriver):
    """A driver that says nothing of what it put where."""

    async def realize(self, handle: Handle, workspace: Workspace, context: Context) -> Realization:
        said = await super().realize(handle, workspace, context)
        return replace(said, authoritative_root="", local={}, remote={}, summary="")


async def test_an_empty_record_is_persisted_nowhere(open_orchestrator: Any, provider: Provider, tree: Path) -> None:
    async with open_orchestrator(Silent(provider)) as orchestrator:
        ours = await orchestrator.execution_workspaces.add(COMPANY, mode="shared_workspace", metadata={"mine": 1})
        held = await acquired(orchestrator, await box(orchestrator), persisted_execution_workspace=ours)
        result = await realized(orchestrator, held, tree, persisted_execution_workspace=ours)
        assert result.workspace_realization == {}
        assert result.persisted_execution_workspace is ours
        assert "workspace_realization" not in result.lease.metadata
        assert await orchestrator.execution_workspaces.get(COMPANY, ours.id) == ours
        await orchestrator.release_for_run(run_id="run", company_id=COMPANY)


async def test_an_execution_workspace_that_vanished_keeps_the_caller_s_copy(
    orchestrator: Orchestrator, tree: Path
) -> None:
    gone = configured(None, id="gone", mode="shared_workspace", metadata={"mine": 1})
    held = await acquired(orchestrator, persisted_execution_workspace=gone)
    result = await realized(orchestrator, held, tree, persisted_execution_workspace=gone)
    assert result.persisted_execution_workspace is gone
    assert result.workspace_realization


async def test_another_company_s_execution_workspace_is_not_written(orchestrator: Orchestrator, tree: Path) -> None:
    theirs = await orchestrator.execution_workspaces.add("other", mode="shared_workspace", metadata={"theirs": 1})
    held = await acquired(orchestrator)
    result = await realized(orchestrator, held, tree, persisted_execution_workspace=theirs)
    assert result.persisted_execution_workspace is theirs
    assert await orchestrator.execution_workspaces.get("other", theirs.id) == theirs


class Hosted:
    """A host's own execution workspaces: plain functions, plain dictionaries."""

    def __init__(self, fails: bool = False) -> None:
        self.rows: dict[str, dict[str, Any]] = {"ew": configured("make", id="ew", metadata={"host": True})}
        self.fails = fails

    def get(self, workspace_id: str) -> dict[str, Any] | None:
        return self.rows.get(workspace_id)

    def update_metadata(self, workspace_id: str, metadata: dict[str, Any]) -> dict[str, Any] | None:
        if self.fails:
            raise ConnectionError("the host's database is away")
        self.rows[workspace_id] = {**self.rows[workspace_id], "metadata": metadata}
        return self.rows[workspace_id]


async def test_a_host_brings_its_own_execution_workspaces(
    store_url: str, state_folder: Path, tree: Path, orchestrator: Orchestrator
) -> None:
    hosted, settings = Hosted(), Settings(state_folder=state_folder)
    async with Orchestrator.open(store_url, settings=settings, workspaces=hosted) as own:
        held = await acquired(own, persisted_execution_workspace=hosted.rows["ew"])
        result = await realized(own, held, tree, persisted_execution_workspace=hosted.rows["ew"])
        assert result.persisted_execution_workspace is hosted.rows["ew"]
        assert set(hosted.rows["ew"]["metadata"]) == {
            "host",
            "workspace_realization_request",
            "workspace_realization",
        }
        await own.release_for_run(run_id="run", company_id=COMPANY)


async def test_what_the_host_s_own_raise_goes_through_and_the_lease_stands(
    store_url: str, state_folder: Path, tree: Path, orchestrator: Orchestrator
) -> None:
    hosted, settings = Hosted(fails=True), Settings(state_folder=state_folder)
    async with Orchestrator.open(store_url, settings=settings, workspaces=hosted) as own:
        held = await acquired(own)
        with pytest.raises(ConnectionError):
            await realized(own, held, tree, persisted_execution_workspace=hosted.rows["ew"])
        assert held.lease.state is LeaseState.PROVISIONED
        ended = await own.release_for_run(run_id="run", company_id=COMPANY, status="failed")
        assert [record.lease for record in ended.released] == [held.lease]
