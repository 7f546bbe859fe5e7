"""A platform that drives the steps itself, at real places: what its adapters are told, and what their runner does."""

from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator, Settings
from platform_run import COMPANY, acquired, realized, sandbox_target
from sshd import Sshd


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    (path / "file").write_text("one\n")
    return path


async def box(orchestrator: Orchestrator, driver: str, config: dict[str, Any]) -> Any:
    return await orchestrator.environments.add(COMPANY, "box", driver, config)


async def test_a_host_over_ssh(store_path: Path, tree: Path, tmp_path: Path, ssh_server: Sshd) -> None:
    config = {**ssh_server.config(), "root": str(tmp_path / "places")}
    settings = Settings(state_folder=store_path.parent)
    async with Orchestrator.open(f"sqlite:///{store_path}", settings=settings) as orchestrator:
        held = await acquired(orchestrator, await box(orchestrator, "ssh", config))
        result = await realized(orchestrator, held, tree)
        record, target, cwd = result.workspace_realization, result.execution_target, held.lease.cwd
        assert record["remote"] == {
            "path": cwd,
            "host": ssh_server.host,
            "port": ssh_server.port,
            "username": ssh_server.user,
        }
        assert record["sync"]["strategy"] == "ssh_git_import_export"
        assert target is not None
        assert (target["kind"], target["transport"], target["remote_cwd"]) == ("remote", "ssh", cwd)
        assert result.remote_execution == target["spec"]
        assert target["spec"]["private_key"] == config["identity"], "a reference, never the key"
        assert (await held.lease.exec("cat", "file")).stdout.text == "one\n"
        await held.lease.release()
        assert held.lease.cleanup_status == "success"


async def test_a_sandbox(store_path: Path, tree: Path, require: Any) -> None:
    require("bwrap")
    settings = Settings(state_folder=store_path.parent)
    async with Orchestrator.open(f"sqlite:///{store_path}", settings=settings) as orchestrator:
        held = await acquired(orchestrator, await box(orchestrator, "bubblewrap", {}))
        result = await realized(orchestrator, held, tree)
        target = dict(result.execution_target or {})
        runner = target.pop("runner")
        assert target == sandbox_target(held, provider="bubblewrap", shell="bash")
        done = await runner.execute(command="sh", args=["-c", "cat file; exit 3"], timeout_ms=30_000)
        assert (done.exit_code, done.stdout, done.timed_out) == (3, "one\n", False)
        late = await runner.execute(command="sleep", args=["60"], timeout_ms=200)
        assert late.timed_out
        await held.lease.release()
        assert held.lease.cleanup_status == "success"
