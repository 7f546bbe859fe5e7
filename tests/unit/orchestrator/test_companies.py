"""Invariant 12: nothing of one company is reachable from another, not even its existence.

Every public method is called for one company with the ids, names and objects of another. With an id it
answers as it does for an id of nothing; with an object it refuses; and the other company's rows stay.
"""

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from leasehold.orchestrator import Orchestrator
from sqlalchemy import Connection, select

OURS, THEIRS = "ours", "theirs"
# what opens, serves every company alike, or is another's under a second name
# the last five are the duties of whoever runs the ledger: they name no company, and act for all
APART = {"open", "lease", "duties", "worker", "work", "sweep", "restored"}


def public() -> list[str]:
    """The methods that take something."""
    return [
        name for name, _ in inspect.getmembers(Orchestrator, callable) if not name.startswith("_") and name not in APART
    ]


async def their_rows(orchestrator: Orchestrator) -> dict[str, list[tuple[Any, ...]]]:
    tables = orchestrator.store.schema.metadata.sorted_tables

    def query(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).where(table.c.company_id == THEIRS))]
            for table in tables
            if "company_id" in table.c
        }

    return await orchestrator.store.read(query)


async def outcome(call: Callable[[], Awaitable[Any]], names: dict[str, str]) -> str:
    """What a call came to, without the names that it was given."""
    try:
        said = f"answered {await call()!r}"
    except Exception as error:  # noqa: BLE001 - whatever it raises is what it came to
        said = f"{type(error).__name__}: {error}"
    for name, value in names.items():
        said = said.replace(value, f"<{name}>")
    return said


@pytest.fixture
async def given(orchestrator: Orchestrator, tree: Path) -> dict[str, Any]:
    """What the other company has, under the names of the parameters that could take it."""
    environment = await orchestrator.environments.add(THEIRS, "place", "scripted", {})
    lease = await orchestrator.acquire(environment="place", workspace=tree, company_id=THEIRS, run_id="their-run")
    return {
        "lease_id": lease.id,
        "environment": environment,
        "selected_environment_id": environment.id,
        "run_id": "their-run",
        "lease": lease,
    }


# for parameters that say nothing of whose a thing is
ANYTHING: dict[str, Any] = {
    "company_id": OURS,
    "adapter_type": None,
    "execution_workspace": None,
    "older_than": "1s",
    "reason": "x",
    "ttl": "1h",
    "who": "x",
}


@pytest.mark.parametrize("method", public())
async def test_another_company_s_is_as_good_as_nothing(
    orchestrator: Orchestrator, tree: Path, given: dict[str, Any], method: str
) -> None:
    before = await their_rows(orchestrator)
    nothing = {"lease_id": "l" + "z" * 19, "run_id": "no-such-run", "selected_environment_id": "a" + "0" * 15}
    ids = {name: value for name, value in given.items() if isinstance(value, str)}
    for chosen in (ids, nothing):
        chosen["default_environment_id"] = "the-local-one"  # asking for the default is asking for one's own
    parameters = inspect.signature(getattr(Orchestrator, method)).parameters
    named = {name for name in parameters if name in ids}
    objects = {name: given[name] for name in parameters if name in ("environment", "lease")}
    rest: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in ANYTHING:
            rest[name] = ANYTHING[name]
        elif name not in given and name != "self":
            assert parameter.default is not inspect.Parameter.empty, f"say here what {name} of {method} can be"
    if method == "acquire":
        rest |= {"workspace": tree}
        objects = {"environment": given["selected_environment_id"]}
        named.discard("run_id")
    if method == "resolve_transport":
        rest |= {"adapter_type": "shell"}

    async def call(values: dict[str, str]) -> Any:
        return await getattr(orchestrator, method)(**rest, **objects, **{name: values[name] for name in named})

    told = await outcome(lambda: call(ids), ids)
    if objects:
        assert not told.startswith("answered"), told
        assert "their" not in told
    else:
        assert told == await outcome(lambda: call(nothing), nothing)
    assert await their_rows(orchestrator) == before


@pytest.mark.parametrize("name", ["place", "local"])
async def test_two_companies_may_have_the_same_names(orchestrator: Orchestrator, tree: Path, name: str) -> None:
    if name == "place":
        for company in (OURS, THEIRS):
            await orchestrator.environments.add(company, name, "scripted", {})
    used: set[str | None] = set()
    for company in (OURS, THEIRS):
        async with orchestrator.lease(
            environment=name, workspace=tree, company_id=company, run_id="same", mode="copy"
        ) as lease:
            used.add(lease.terms.environment_id)
    assert len(used) == 2
    for company in (OURS, THEIRS):
        [row] = await orchestrator.ledger.of_run(company, "same")
        assert row.terms.request.company_id == company
