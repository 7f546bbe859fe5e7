"""The original's execution target, and the runner by which an adapter executes in a sandbox."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from leasehold.drivers import Outcome, Transport
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.results import Executed


def execution_target(lease: Lease) -> dict[str, Any] | None:
    """Where an adapter executes: local, or remote over ssh or a sandbox. None for any other transport.

    A sandbox's ``runner`` is alive, and is not stored.
    """
    described, realization = lease.execution_target or {}, lease.realization or {}
    ids = {"environment_id": lease.environment_id, "lease_id": lease.id}
    match realization.get("transport"):
        case Transport.LOCAL:
            return {"kind": "local", **ids}
        case Transport.SSH:
            remote = {"kind": "remote", "transport": "ssh", "remote_cwd": realization["cwd"], **ids}
            return {**remote, "spec": described.get("spec")}
        case Transport.SANDBOX:
            return {
                "kind": "remote",
                "transport": "sandbox",
                "provider_key": lease.provider,
                "shell_command": described.get("shell_command"),
                "remote_cwd": realization["cwd"],
                **ids,
                "timeout_ms": described.get("timeout_ms"),
                "stream_run_logs": described.get("stream_run_logs", True),
                "runner": Runner(lease),
            }
        case _:
            return None


def remote_spec(target: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What an adapter connects by: ssh's alone."""
    return None if target is None or target.get("transport") != Transport.SSH else target["spec"]


class Runner:
    """Executes in a lease's place."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def execute(
        self,
        *,
        command: str,
        args: Sequence[str] = (),
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout_ms: int | None = None,
    ) -> Executed:
        """Run a command to its end; a failing one is a result.

        ``cwd`` is by default the realized folder. Raises what ``Lease.exec`` raises.
        """
        result = await self._lease.exec(
            command,
            *args,
            cwd=cwd,
            env=env,
            stdin=None if stdin is None else stdin.encode(),
            timeout=None if timeout_ms is None else timeout_ms / 1000,
        )
        return Executed(
            exit_code=result.exit_code,
            signal=None if result.signal is None else _name(result.signal),
            timed_out=result.outcome is Outcome.TIMED_OUT,
            stdout=result.stdout.text,
            stderr=result.stderr.text,
        )


def _name(number: int) -> str:
    known = {member.value: member.name for member in signal.Signals}
    return known.get(number, f"signal {number}")
