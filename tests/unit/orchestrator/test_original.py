"""The original's values are ours, by name, and its layers are asked in its order."""

from enum import StrEnum
from itertools import product

import pytest
from leasehold.orchestrator import EnvironmentStatus, select_environment
from leasehold.orchestrator.execution_workspaces import SourceKind, Strategy, WorkspaceMode
from leasehold.orchestrator.run_ending import RunEnding
from leasehold.orchestrator.selection import SILENT, Layer
from leasehold.states import ErrorCode, Policy, Status, cleanup_status
from leasehold.states.cleanup import CleanupState

CODES = """
environment_not_found environment_inactive unsupported_environment unsupported_adapter_environment probe_failed
lease_acquire_failed workspace_realization_failed transport_resolution_failed lease_release_failed lease_cleanup_failed
"""
VALUES: tuple[tuple[type[StrEnum], str], ...] = (
    (EnvironmentStatus, "active archived"),
    (Status, "active released expired failed retained pending_cleanup"),
    (RunEnding, "released failed expired"),
    (Policy, "ephemeral reuse_by_environment reuse_by_execution_workspace retain_on_failure"),
    (WorkspaceMode, "shared_workspace isolated_workspace operator_branch adapter_managed cloud_sandbox"),
    (Strategy, "project_primary git_worktree"),
    (SourceKind, "project_primary task_session agent_home"),
)


@pytest.mark.parametrize(("ours", "theirs"), VALUES, ids=[ours.__name__ for ours, _ in VALUES])
def test_the_values_are_the_original_s(ours: type[StrEnum], theirs: str) -> None:
    assert {member.value for member in ours} == {*theirs.split()}


def test_the_ten_codes_are_among_ours_in_the_original_s_order() -> None:
    assert [code.value for code in ErrorCode if code.value in CODES.split()] == CODES.split()


def test_cleanup_reads_as_one_of_three_words() -> None:
    assert {cleanup_status(cleanup) for cleanup in CleanupState} == {"pending", "failed", "success"}


def test_the_layers_are_asked_in_the_original_s_order() -> None:
    order = ["execution_workspace", "issue", "project", "agent", "company_default"]
    assert [layer.value for layer in Layer] == order
    for speaks in product((True, False), repeat=len(order)):
        said = {name: f"of-{name}" if loud else SILENT for name, loud in zip(order, speaks, strict=True)}
        first = next((name for name in order if said[name] is not SILENT), None)
        chosen = select_environment(said)
        assert chosen.environment == (None if first is None else f"of-{first}")
        assert chosen.layer == (first or "company_default")
        assert select_environment({name: value for name, value in said.items() if value is not SILENT}) == chosen


def test_an_explicit_null_chooses_the_default_and_ends_the_search() -> None:
    chosen = select_environment({"issue": None, "agent": "other"})
    assert (chosen.environment, chosen.layer) == (None, Layer.ISSUE)
    with pytest.raises(ValueError, match="nowhere"):
        select_environment({"nowhere": "x"})
