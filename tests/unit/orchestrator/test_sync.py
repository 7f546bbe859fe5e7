"""The synchronous face does what the asynchronous one does."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import ScriptedDriver
from leasehold.orchestrator import Lease as AsyncLease
from leasehold.orchestrator import Orchestrator as AsyncOrchestrator
from leasehold.orchestrator import Settings, StoreError
from leasehold.orchestrator.arguments import LeaseArguments
from leasehold.orchestrator.sync import Lease, Orchestrator
from leasehold.states import ErrorCode, LeaseState


def test_a_life_without_await(store_path: Path, tree: Path) -> None:
    settings = Settings(state_folder=store_path.parent)
    with Orchestrator.open(f"sqlite:///{store_path}", settings=settings) as orchestrator:
        with orchestrator.lease(workspace=tree) as lease:
            result = lease.exec("sh", "-c", "echo out; exit 3")
            assert (result.exit_code, result.stdout.text) == (3, "out\n")
            assert lease.cwd == str(tree)
        assert lease.state is LeaseState.RELEASED
        with pytest.raises(ZeroDivisionError), orchestrator.lease(workspace=tree) as failing:
            raise ZeroDivisionError
        assert failing.error_code == ErrorCode.RUN_FAILED
        held = orchestrator.acquire(workspace=tree)
        held.detach()
        orchestrator.attach(held.id).release()


def test_a_block_s_own_error_is_the_first(store_path: Path, tree: Path) -> None:
    settings = Settings(state_folder=tree.parent / "state")
    with Orchestrator.open(f"sqlite:///{store_path}", drivers=[ScriptedDriver()], settings=settings) as orchestrator:
        orchestrator.environments.add("default", "place", "scripted", {})

        def fails(_: object) -> None:
            raise StoreError("the store is locked")

        def work() -> None:
            with orchestrator.lease(environment="place", workspace=tree):
                setattr(orchestrator.twin.store.writer, "write", fails)  # noqa: B010 - for this orchestrator's life
                raise ValueError("its own")

        with pytest.raises(ValueError, match="its own"):
            work()


def test_a_platform_without_await(store_path: Path, tree: Path) -> None:
    """The entry points take and give the synchronous lease, and runtime and runner wait for their commands."""
    settings = Settings(state_folder=store_path.parent)
    drivers = [ScriptedDriver()]
    run: Any = {"company_id": "default", "adapter_type": "claude_local", "run_id": "run"}
    with Orchestrator.open(f"sqlite:///{store_path}", settings=settings, drivers=drivers) as orchestrator:
        environment = orchestrator.resolve_environment(company_id="default")
        held = orchestrator.acquire_for_run(**run)
        assert isinstance(held.lease, Lease)
        assert (held.environment, held.lease.state) == (environment, LeaseState.LEASED)
        result = orchestrator.realize_for_run(
            **run, environment=environment, lease=held.lease, execution_workspace={"cwd": str(tree)}
        )
        assert result.lease is held.lease
        done = orchestrator.runtime.execute(environment=environment, lease=held.lease, command="pwd")
        assert done.stdout == f"{tree}\n"
        box = orchestrator.environments.add("default", "box", "scripted", {})
        spec: Any = {"company_id": "default", "adapter_type": "claude_local", "environment": box}
        assert orchestrator.resolve_transport(**spec) is None
        record = orchestrator.acquire_lease(company_id="default", environment=box, run_id="run")
        realized = orchestrator.runtime.realize_workspace(
            environment=box, lease=record.lease, workspace={"local_path": str(tree)}
        )
        assert realized.cwd == record.lease.cwd
        boxed = orchestrator.acquire_for_run(**run, selected_environment_id=box.id)
        there = orchestrator.realize_for_run(
            **run, environment=box, lease=boxed.lease, execution_workspace={"cwd": str(tree)}
        )
        assert there.execution_target is not None
        assert there.execution_target["runner"].execute(command="true").exit_code == 0
        ended = orchestrator.release_for_run(run_id="run", company_id="default", status="failed")
        assert [each.lease.id for each in ended.released] == [held.lease.id, record.lease.id, boxed.lease.id]
        assert all(isinstance(each.lease, Lease) for each in ended.released)
        assert orchestrator.runtime.release_run_leases("run", company_id="default") == []
        assert held.lease.error_code == ErrorCode.RUN_FAILED


def test_every_public_name_is_on_both_faces(store_path: Path, tree: Path) -> None:
    internal = {"ahead", "machine_state", "machine_cleanup", "visit", "work", "interrupt", "end_commands", "lose"}
    internal |= {"began", "ended", "tell", "forget", "everywhere", "of", "store", "registry", "adapters", "settings"}
    internal |= {"ledger", "redaction", *AsyncLease.__slots__}
    settings = Settings(state_folder=store_path.parent)
    with Orchestrator.open(f"sqlite:///{store_path}", settings=settings) as orchestrator:
        faces: list[Any] = [orchestrator, orchestrator.environments, orchestrator.execution_workspaces]
        for face in (*faces, orchestrator.runtime, orchestrator.acquire(workspace=tree)):
            wanted = {name for name in dir(face.twin) if not name.startswith("_")} - internal
            assert wanted <= set(dir(face)), type(face)


def test_a_worker_and_workspaces_without_await(store_path: Path) -> None:
    settings = Settings(state_folder=store_path.parent)
    with Orchestrator.open(f"sqlite:///{store_path}", settings=settings) as orchestrator:
        with orchestrator.worker(sweeps="never") as worker:
            pass
        assert worker.error is None
        made = orchestrator.execution_workspaces.add("default", mode="shared_workspace")
        assert orchestrator.execution_workspaces.get("default", made.id) == made
        assert orchestrator.execution_workspaces.remove("default", made.id)
        assert not orchestrator.execution_workspaces.remove("default", made.id)
        assert orchestrator.execution_workspaces.get("default", made.id) is None


def test_lease_takes_what_acquire_takes() -> None:
    taken = set(inspect.signature(AsyncOrchestrator.acquire).parameters) - {"self"}
    assert taken == set(LeaseArguments.__annotations__)
