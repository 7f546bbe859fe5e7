"""A run that was killed while its command ran."""

import signal
from collections.abc import Callable

from commandline import CommandLine

CLAIM = {"LEASEHOLD_CLAIM_SECONDS": "1"}


def killed(cli: CommandLine, until: Callable[[Callable[[], bool]], None], *options: str, command: str = ":") -> str:
    """A lease whose run was killed after this command in a worktree of its own, once its owner's claim is over."""
    script = f"{command}; echo up; sleep 300"
    running = cli.start("run", "--mode", "git_worktree", *options, "--", "sh", "-c", script, variables=CLAIM)
    cli.until_said(running, "up")
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    until(lambda: bool(cli("ls", "--stuck", "--json", code=0).json))
    return str(cli.lease()["id"])
