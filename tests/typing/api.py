"""The public API as a typed caller uses it: mypy and pyright read this file, nothing runs it."""

from typing import assert_type

from leasehold.drivers import Result
from leasehold.orchestrator import EnvironmentRunError, Lease, Orchestrator, Settings, select_environment, sync
from leasehold.orchestrator.selection import Selection
from leasehold.states import CleanupState, Entry, ErrorCode, LeaseState, Status


async def asynchronous() -> None:
    async with Orchestrator.open("sqlite:////tmp/l.db", settings=Settings()) as orchestrator:
        assert_type(orchestrator, Orchestrator)
        async with orchestrator.lease(environment="local", workspace=".", mode="git_worktree", ttl="30m") as lease:
            assert_type(lease, Lease)
            assert_type(await lease.exec("pytest", "-q", timeout=300), Result)
            assert_type(lease.state, LeaseState)
            assert_type(lease.cleanup, CleanupState)
            assert_type(lease.status, Status)
            assert_type(await lease.journal(), list[Entry])
            assert_type(await lease.read("file"), bytes)
        try:
            held = await orchestrator.acquire(workspace=".", policy="retain_on_failure", env={"A": "b"})
            await held.detach()
            assert_type(await orchestrator.release(held.id), Lease | None)
        except EnvironmentRunError as error:
            assert_type(error.code, ErrorCode)
            assert_type(error.message, str)
    assert_type(select_environment({"agent": "gpu"}), Selection)


def synchronous() -> None:
    with sync.Orchestrator.open() as orchestrator, orchestrator.lease(workspace=".") as lease:
        assert_type(lease, sync.Lease)
        assert_type(lease.exec("true"), Result)
        assert_type(lease.journal(), list[Entry])
