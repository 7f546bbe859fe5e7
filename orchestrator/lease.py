"""A lease in a caller's hands."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leasehold.drivers import Command, Driver, Handle, Realization, Result, Streams, Target
from leasehold.orchestrator.draft import Draft
from leasehold.orchestrator.duration import seconds
from leasehold.orchestrator.errors import EnvironmentRunError, LeaseLost
from leasehold.orchestrator.moment import iso
from leasehold.orchestrator.request import NOTHING
from leasehold.orchestrator.step import Failure, Listener, News
from leasehold.orchestrator.telling import tell
from leasehold.orchestrator.terms import Terms
from leasehold.orchestrator.watch import Stopped, Watch
from leasehold.states import CleanupState, Entry, ErrorCode, Facts, LeaseState, Policy, Status, cleanup_status, status

if TYPE_CHECKING:
    from leasehold.orchestrator.life import Life

T = TypeVar("T")

_SAID_OF_A_PLACE = ("remote_cwd", "host", "port", "username", "sandbox_id", "shell_command")


class Lease:
    """One run's hold on one environment.

    Made by ``Orchestrator.lease``, ``acquire`` and ``attach``. Its facts are those that were
    committed last; what a step has done since is not seen here before it is durable.
    """

    __slots__ = (
        "__weakref__",
        "afresh",
        "commands",
        "config",
        "draft",
        "driver",
        "ended_by",
        "environment_version",
        "facts",
        "handle",
        "interruption",
        "life",
        "listener",
        "lock",
        "lost",
        "named",
        "papers",
        "parked",
        "realized",
        "stop",
        "subjects",
        "target",
        "terms",
        "tree",
    )

    def __init__(self, life: "Life", terms: Terms, facts: Facts, listener: Listener | None = None) -> None:
        self.life = life
        self.terms = terms
        self.facts = facts
        self.listener = listener
        self.papers: dict[str, str | None] = {}
        self.draft: Draft | None = None
        self.lock = asyncio.Lock()
        self.driver: Driver | None = None
        self.config: Any = None
        self.target: Target | None = None
        self.tree: Path | None = None
        self.handle: Handle | None = None
        self.realized: Realization | None = None
        self.subjects: tuple[str, ...] = ()
        self.named: Mapping[str, Any] = NOTHING  # what it learned of late: the next intent says it
        self.environment_version = 0
        self.parked: Lease | None = None  # whose place it takes
        self.afresh = False  # its tree is made anew before it is provisioned
        self.commands: tuple[Watch, ...] = ()
        self.stop: asyncio.Event | None = None
        self.interruption: Failure | None = None
        self.ended_by: Failure | None = None  # an operator: its commands end, its steps go on
        self.lost: str | None = None

    # --- what it is

    @property
    def id(self) -> str:
        """Its id: lower case letters and digits, sortable by time."""
        return self.terms.id

    @property
    def state(self) -> LeaseState:
        """Where it stands, durably."""
        return self.facts.state

    @property
    def cleanup(self) -> CleanupState:
        """What is still owed to its place."""
        return self.facts.cleanup

    @property
    def status(self) -> Status:
        """The operator's word for it."""
        return status(self.facts.state, self.facts.cleanup, self.facts.error_code)

    @property
    def error_code(self) -> str | None:
        """The code of its first error."""
        return self.facts.error_code

    @property
    def cleanup_error_code(self) -> str | None:
        """The code of the last failing try to end its place."""
        return self.facts.cleanup_error_code

    @property
    def realization(self) -> dict[str, Any] | None:
        """The realization record, version 1 of the original's."""
        return _json(self.papers.get("realization"))

    @property
    def execution_target(self) -> dict[str, Any] | None:
        """The original's execution target."""
        return _json(self.papers.get("target"))

    @property
    def company_id(self) -> str:
        """Whose it is."""
        return self.terms.request.company_id

    @property
    def run_id(self) -> str:
        """The run that holds it."""
        return self.terms.request.run_id

    @property
    def issue_id(self) -> str | None:
        """What the run is for."""
        return self.terms.request.issue_id

    @property
    def environment_id(self) -> str | None:
        """The environment, where it was known."""
        return self.terms.environment_id

    @property
    def execution_workspace_id(self) -> str | None:
        """The platform's own record of the tree."""
        return self.terms.request.execution_workspace_id

    @property
    def lease_policy(self) -> Policy:
        """What becomes of its place."""
        return self.terms.policy

    @property
    def provider(self) -> str | None:
        """The driver that does the work."""
        return self.terms.provider

    @property
    def provider_lease_id(self) -> str | None:
        """The provider's own id of the place."""
        return self.papers.get("provider_lease_id")

    @property
    def acquired_at(self) -> str | None:
        """When the driver gave the place, in ISO 8601."""
        return iso(self.facts.acquired_at)

    @property
    def expires_at(self) -> str | None:
        """When it ends by itself, in ISO 8601."""
        return iso(self.facts.expires_at)

    @property
    def released_at(self) -> str | None:
        """When it ended, in ISO 8601."""
        return iso(self.facts.ended_at)

    @property
    def failure_reason(self) -> str | None:
        """The message of its first error."""
        return self.facts.error_message

    @property
    def cleanup_status(self) -> str:
        """The cleanup as the original's callers read it: ``pending``, ``failed``, else ``success``."""
        return cleanup_status(self.facts.cleanup)

    @property
    def metadata(self) -> dict[str, Any]:
        """The original's lease metadata: what its place says of itself, and what was written there since."""
        handle = _json(self.papers.get("handle")) or {"data": {}}
        said = {name: value for name, value in handle["data"].items() if name in _SAID_OF_A_PLACE}
        mode = self.terms.request.execution_workspace_mode
        stored = _json(self.papers.get("metadata")) or {}
        return {"driver": self.terms.driver, "execution_workspace_mode": mode, **said, **stored}

    @property
    def cwd(self) -> str | None:
        """Where its commands run, once it is realized."""
        record = self.realization
        return None if record is None else record["cwd"]

    # --- what can be done with it

    async def exec(
        self,
        *argv: str,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bytes | None = None,
        timeout: float | str | None = None,
        limit: int = 8 * 1024 * 1024,
        on_output: Callable[[str, bytes], Awaitable[None] | None] | None = None,
        streams: Streams | None = None,
        terminal: bool = False,
    ) -> Result:
        """Run a command in the place, to its end.

        A failing command is a result. ``shell`` runs the one string given as shell text; ``timeout``
        is in seconds or as ``5m``; the other arguments are those of ``drivers.Command``.

        Raises:
            LeaseLost: the lease is another's now, or was ended from elsewhere.
            EnvironmentRunError: the lease expired meanwhile.
            DriverError: the place failed. What else a driver raises is a defect of it, and passes as it is.
        """
        command = Command(
            argv=argv,
            shell=shell,
            env=dict(env or {}),
            cwd=cwd,
            stdin=stdin,
            timeout=None if timeout is None else seconds(timeout),
            limit=limit,
            on_output=on_output,
            streams=streams,
            terminal=terminal,
        )
        return await self._used(lambda target: target.execute(command))

    async def put(self, source: str | os.PathLike[str], path: str) -> None:
        """Copy a local file or folder into the place. Raises as ``exec`` does, and ``OSError`` of this side."""
        await self._used(lambda target: target.put(Path(source), path))

    async def get(self, path: str, dest: str | os.PathLike[str]) -> None:
        """Copy a file or folder of the place to a local path. Raises as ``put`` does."""
        await self._used(lambda target: target.get(path, Path(dest)))

    async def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's bytes, at most ``limit``. Raises as ``put`` does."""
        return await self._used(lambda target: target.read(path, limit))

    async def write(self, path: str, data: bytes) -> None:
        """Write a file of the place whole. Raises as ``put`` does."""
        await self._used(lambda target: target.write(path, data))

    async def release(self) -> None:
        """End it as wanted: bring changes back where that was asked for, then clean up or keep.

        A cleanup that fails is recorded on the lease and tried again later; it raises nothing.
        Raises ``EnvironmentRunError`` (``workspace_sync_failed``) and ``LeaseLost``.
        """
        await self.life.release(self)

    async def fail(self, reason: str, *, code: ErrorCode = ErrorCode.RUN_FAILED) -> None:
        """End it as failed, for a reason that stands on it for good; then clean up or keep.

        One that has ended stays as it is. Raises ``LeaseLost``, and ``IllegalTransition`` for a code that no run
        can fail with.
        """
        await self.life.fail(self, Failure(code, reason, "run"))

    async def extend(self, ttl: float | str) -> None:
        """Let it live for ``ttl`` from now: seconds, or as ``2h``. Raises ``IllegalTransition``, ``LeaseLost``."""
        await self.life.extend(self, seconds(ttl))

    async def detach(self) -> None:
        """Let go of it at ``targeted``: it lives on without an owner until it expires or is attached.

        Raises ``IllegalTransition`` where it stands elsewhere, and ``LeaseLost``.
        """
        await self.life.detach(self)

    async def journal(self) -> list[Entry]:
        """Its journal, oldest row first."""
        return await self.life.journal(self.id)

    # --- for the engine

    @property
    def ahead(self) -> Facts:
        """The facts with the rows that are not committed yet."""
        return self.facts if self.draft is None else self.draft.facts

    @property
    def machine_state(self) -> str:
        """Where the machine sees it."""
        return str(self.ahead.state)

    @property
    def machine_cleanup(self) -> str:
        """Where the cleanup machine sees it."""
        return str(self.ahead.cleanup)

    def tell(self, news: News) -> None:
        """Tell who watches it."""
        if self.listener is not None:
            tell(self.listener, news)

    def began(self, command: Watch) -> None:
        """A command runs there: what ends the lease cuts it off."""
        self.commands += (command,)

    def ended(self, command: Watch) -> None:
        """The command has ended."""
        self.commands = tuple(watch for watch in self.commands if watch is not command)

    def interrupt(self, failure: Failure) -> None:
        """Have the step or command under way end, for this reason. The first reason counts."""
        if self.interruption is None:
            self.interruption = failure
        if self.stop is not None:
            self.stop.set()
        for watch in self.commands:
            watch.cut()

    def end_commands(self, failure: Failure) -> None:
        """Have the commands under way end, for this reason, and nothing else."""
        self.ended_by = failure
        for watch in self.commands:
            watch.cut()

    def lose(self, why: str) -> LeaseLost:
        """Mark it as no longer ours, end what we run there, and give the error to raise."""
        self.lost = self.lost or why
        self.interrupt(Failure(ErrorCode.LEASE_OWNER_LOST, why, "owner"))
        return LeaseLost(self.id, self.lost)

    async def _used(self, use: Callable[[Target], Coroutine[Any, Any, T]]) -> T:
        """Use the place; what ends the lease cuts it off."""
        target, watch = self._usable(), Watch()
        self.began(watch)
        try:
            return await self.life.watches.over(watch, use(target))
        except Stopped:
            self._raise_if_ended()
            raise
        finally:
            self.ended(watch)

    def _usable(self) -> Target:
        self._raise_if_ended()
        self.life.check(self)
        if self.target is None or self.facts.state is not LeaseState.TARGETED:
            going = self.facts.state is LeaseState.TARGETED
            raise LeaseLost(self.id, "it is being let go" if going else f"it is {self.facts.state}")
        return self.target

    def _raise_if_ended(self) -> None:
        if self.lost is not None:
            raise LeaseLost(self.id, self.lost)
        failure = self.interruption or self.ended_by
        if failure is not None:
            raise EnvironmentRunError(
                failure.code,
                failure.message,
                environment_id=self.terms.environment_id,
                driver=self.terms.driver,
                provider=self.terms.provider,
                lease_id=self.id,
            )


def _json(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
