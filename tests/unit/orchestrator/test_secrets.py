"""Invariant 11: no value of a SecretRef is in the store, the journal, what is told, an error or an argument list."""

from pathlib import Path

import pytest
from leasehold.orchestrator import EnvironmentRunError, News, Orchestrator, Settings
from sqlalchemy import select

SECRET = "s3cr3t-of-the-lab"


async def test_a_secret_reaches_nothing_that_is_kept_or_told(
    store_url: str, state_folder: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    told: list[News] = []
    async with Orchestrator.open(store_url, settings=Settings(state_folder=state_folder)) as orchestrator:
        await orchestrator.environments.add("default", "lab", "local", {"variables": {"TOKEN": "env:LAB_TOKEN"}})
        lease = await orchestrator.acquire(environment="lab", workspace=tree, mode="copy", listener=told.append)
        ran = await lease.exec(
            "sh", "-c", "echo $TOKEN; tr '\\0' ' ' </proc/$PPID/cmdline; tr '\\0' ' ' </proc/$$/cmdline"
        )
        given, *listed = ran.stdout.text.splitlines()
        assert given == SECRET, "its command has it"
        assert all(SECRET not in line for line in listed)
        await lease.fail(f"the service said: {SECRET} has expired")
        assert lease.facts.error_message == "the service said: [redacted] has expired"
        with pytest.raises(EnvironmentRunError) as raised:
            await orchestrator.acquire(
                environment="lab", workspace=tree, mode="copy", provision="echo $TOKEN is wrong >&2; exit 3"
            )
        assert SECRET not in str(raised.value)
        for table in orchestrator.store.schema.metadata.sorted_tables:
            rows = await orchestrator.store.read(lambda c, table=table: c.execute(select(table)).all())  # type: ignore[misc]
            assert all(SECRET not in str(row) for row in rows), table.name
    assert all(SECRET not in news.text for news in told)
    assert files_with(state_folder, SECRET.encode()) == []


def files_with(folder: Path, data: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]
