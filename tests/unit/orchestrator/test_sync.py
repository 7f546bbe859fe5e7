"""The synchronous face does what the asynchronous one does."""

import inspect
from pathlib import Path

import pytest
from leasehold.orchestrator import Lease as AsyncLease
from leasehold.orchestrator import Orchestrator as AsyncOrchestrator
from leasehold.orchestrator import Runtime as AsyncRuntime
from leasehold.orchestrator import Settings
from leasehold.orchestrator.arguments import LeaseArguments
from leasehold.orchestrator.entry_points import EntryPoints
from leasehold.orchestrator.sync import Lease, Orchestrator, Runtime
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


@pytest.mark.parametrize(
    ("twin", "face"),
    [(AsyncLease, Lease), (AsyncOrchestrator, Orchestrator), (EntryPoints, Orchestrator), (AsyncRuntime, Runtime)],
)
def test_every_public_name_is_on_both_faces(twin: type, face: type) -> None:
    internal = {"ahead", "machine_state", "machine_cleanup", "interrupt", "lose", "visit", "began", "ended"}
    slots = set(getattr(twin, "__slots__", ()))
    wanted = {name for name in vars(twin) if not name.startswith("_")} - internal - slots
    assert wanted <= set(vars(face))


def test_lease_takes_what_acquire_takes() -> None:
    taken = set(inspect.signature(AsyncOrchestrator.acquire).parameters) - {"self"}
    assert taken == set(LeaseArguments.__annotations__)
