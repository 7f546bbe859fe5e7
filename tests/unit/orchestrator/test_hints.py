"""Hints on PostgreSQL: who waits is told. Looking from time to time does without, wherever a hint is lost.

Where a test is to show that a hint came, looking is put off for an hour.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from leasehold.drivers.scripted import Provider, ScriptedDriver
from leasehold.orchestrator import EnvironmentRunError, Orchestrator, Settings, capacity
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.step import News
from leasehold.orchestrator.store.store import Store
from leasehold.orchestrator.verify import verify
from leasehold.states import ErrorCode
from pooler import Pooler
from postgres import PostgresServer
from proxy import Proxy

Opener = Callable[..., AbstractAsyncContextManager[Orchestrator]]

LISTENING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN%%'"
HOUR = 3600.0


@pytest.fixture(params=["postgresql"])
def store_url(postgres: PostgresServer, database: str) -> str:
    return postgres.url(database)


class Heard:
    """Looks at the sessions that listen, until the deadline."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self._server, self._database = server, database

    async def sessions(self, wanted: Callable[[list[int]], bool]) -> list[int]:
        end = time.monotonic() + 20
        while True:
            found = await asyncio.to_thread(self._server.ask, LISTENING, self._database)
            pids = [pid for (pid,) in found]
            if wanted(pids):
                return pids
            assert time.monotonic() < end, pids


@pytest.fixture
def heard(postgres: PostgresServer, database: str) -> Heard:
    return Heard(postgres, database)


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()


@pytest.fixture
def no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_PAUSE", HOUR)
    monkeypatch.setattr(capacity, "_LONGEST_PAUSE", HOUR)


def waiting(orchestrator: Orchestrator, tree: Path) -> tuple["asyncio.Task[Lease]", asyncio.Event]:
    """A lease that is asked for, and what is set once it stands in line."""
    stands = asyncio.Event()

    def listener(news: News) -> None:
        if news.text.startswith("waits for a place"):
            stands.set()

    acquiring = orchestrator.acquire(environment="place", workspace=tree, wait="1h", listener=listener)
    return asyncio.ensure_future(acquiring), stands


async def place(orchestrator: Orchestrator) -> None:
    await orchestrator.environments.add("default", "place", "scripted", {}, max_leases=1)


@pytest.mark.usefixtures("no_looking")
async def test_who_waits_is_woken_when_a_slot_is_freed_elsewhere(
    open_orchestrator: Opener, heard: Heard, tree: Path
) -> None:
    async with open_orchestrator() as holder, open_orchestrator() as one, open_orchestrator() as other:
        await place(holder)
        held = await holder.acquire(environment="place", workspace=tree)
        (first, first_stands), (second, second_stands) = waiting(one, tree), waiting(other, tree)
        await asyncio.gather(first_stands.wait(), second_stands.wait())
        await heard.sessions(lambda pids: len(pids) == 3)  # one a process
        await held.release()
        done, left = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(left)) == (1, 1)
        await done.pop().result().release()
        await (await left.pop()).release()
        assert [finding async for finding in verify(holder.store)] == []


async def test_an_owner_sees_at_once_what_it_is_asked(open_orchestrator: Opener, heard: Heard, tree: Path) -> None:
    async with open_orchestrator(claim_seconds=HOUR) as owner, open_orchestrator() as other:
        await owner.environments.add("default", "place", "scripted", {})
        lease = await owner.acquire(environment="place", workspace=tree)
        await heard.sessions(lambda pids: len(pids) == 1)
        assert await other.fail(lease.id, "not wanted any more") is None
        ended: Any = None
        end = time.monotonic() + 20
        while ended is None or ended.facts.state.live:
            assert time.monotonic() < end
            ended = await other.ledger.find("default", lease.id)
        assert ended.facts.error_message == "not wanted any more"
        with pytest.raises(EnvironmentRunError) as caught:
            await lease.exec("true")
        assert caught.value.code is ErrorCode.RUN_FAILED


async def test_losing_the_session_loses_nothing(
    postgres: PostgresServer, open_orchestrator: Opener, heard: Heard, tree: Path
) -> None:
    async with open_orchestrator() as holder, open_orchestrator() as one:
        await place(holder)
        held = await holder.acquire(environment="place", workspace=tree)
        task, stands = waiting(one, tree)
        await stands.wait()
        before = await heard.sessions(lambda pids: len(pids) == 2)
        for pid in before:
            postgres.ask("SELECT pg_terminate_backend(%s)", pid)
        await held.release()
        await (await task).release()
        again = await holder.acquire(environment="place", workspace=tree)
        after = await heard.sessions(lambda pids: len(pids) == 1 or not {*pids} & {*before})
        assert not {*after} & {*before}
        await again.release()


@pytest.mark.usefixtures("no_looking")
async def test_a_hint_that_is_missed_while_nobody_listens_is_made_up_for(
    postgres: PostgresServer, database: str, open_orchestrator: Opener, heard: Heard, tree: Path
) -> None:
    """The slot is freed while the session is away: the next one begins with a look."""
    async with open_orchestrator() as holder, open_orchestrator() as one:
        await place(holder)
        held = await holder.acquire(environment="place", workspace=tree)
        task, stands = waiting(one, tree)
        await stands.wait()
        before = await heard.sessions(lambda pids: len(pids) == 2)
        postgres.ask(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        for pid in before:
            postgres.ask("SELECT pg_terminate_backend(%s)", pid)
        await held.release()
        postgres.ask(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        await (await task).release()


async def test_a_server_that_does_not_answer_is_not_waited_for_at_the_end(
    postgres: PostgresServer, database: str, proxy: Proxy, heard: Heard
) -> None:
    """Its answer comes later: the session is hung up at once."""
    store = await Store.open(postgres.url(database).replace(str(postgres.port), str(proxy.port)), patience=60.0)
    store.engine.dispose()  # so that a new connection is made
    proxy.through.clear()
    proxy.came.clear()
    store.hints.on("owner:any", lambda: None)
    assert await asyncio.to_thread(proxy.came.wait, 10)
    async with asyncio.timeout(5):
        await store.hints.close()
    proxy.through.set()
    await store.close()
    end = time.monotonic() + 20
    while any(thread.name == "leasehold-hints" for thread in threading.enumerate()):
        assert time.monotonic() < end
        await asyncio.sleep(0)
    await heard.sessions(lambda pids: not pids)


async def test_there_is_no_session_where_nobody_waits(
    open_orchestrator: Opener, heard: Heard, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leasehold.orchestrator.store.hints._IDLE", 0.1)
    async with open_orchestrator(claim_seconds=0.6) as orchestrator:
        await orchestrator.environments.add("default", "place", "scripted", {})
        lease = await orchestrator.acquire(environment="place", workspace=tree)
        await heard.sessions(lambda pids: len(pids) == 1)
        await lease.release()
        await heard.sessions(lambda pids: not pids)
        again = await orchestrator.acquire(environment="place", workspace=tree)
        await heard.sessions(lambda pids: len(pids) == 1)
        await again.release()
    await heard.sessions(lambda pids: not pids)


async def test_behind_a_pooler_nobody_listens_and_who_waits_is_served(
    pooler: Pooler, database: str, provider: Provider, heard: Heard, tree: Path, tmp_path: Path
) -> None:
    settings, url = Settings(state_folder=tmp_path), pooler.url(database)
    async with (
        Orchestrator.open(url, drivers=[ScriptedDriver(provider)], settings=settings) as holder,
        Orchestrator.open(url, drivers=[ScriptedDriver(provider)], settings=settings) as one,
    ):
        await place(holder)
        held = await holder.acquire(environment="place", workspace=tree)
        task, stands = waiting(one, tree)
        await stands.wait()
        assert await heard.sessions(lambda _: holder.store.hints.deaf and one.store.hints.deaf) == []
        await held.release()
        await (await task).release()
