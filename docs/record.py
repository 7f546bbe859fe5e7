"""Records the README's picture: a run is killed, and settled. Every line in it was printed by the real command.

``python docs/record.py FILE.svg`` writes it; without a file it only plays, and fails where a step does.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

LEASEHOLD = str(Path(sys.executable).with_name("leasehold"))
WIDTH = 112
RUN = "run --mode git_worktree --provision 'echo ready' -- sh -c 'echo testing; sleep 600'"
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # left out: the viewer's own font, and no download
STEPS = ("ls --stuck", "replay --stuck --dry-run", "replay --stuck", "ls --stuck", "sweep", "verify")


class Recording:
    """A terminal in a project of its own, with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.console = Console(record=True, width=WIDTH, file=sys.stdout, force_terminal=False, highlight=False)
        self._project = folder / "project"
        self._project.mkdir()
        self._env = {
            **os.environ,
            "LEASEHOLD_STORE": f"sqlite:///{folder}/leasehold.db",
            "LEASEHOLD_STATE_FOLDER": str(folder / "state"),
            "LEASEHOLD_CLAIM_SECONDS": "2",
        }
        git = ["git", "-c", "user.name=you", "-c", "user.email=you@example.invalid"]
        (self._project / "test.py").write_text("print('the tests pass')\n")
        for step in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
            subprocess.run([*git, *step], cwd=self._project, check=True, timeout=30)

    def play(self) -> None:
        """The whole of it."""
        self._killed()
        for step in STEPS:
            self._type(f"leasehold {step}")
            self._print(self._ask(step))

    def _killed(self) -> None:
        """A run, killed while its command runs; then its claim runs out."""
        self._type(f"leasehold {RUN} &")
        running = subprocess.Popen(
            f"exec {LEASEHOLD} {RUN}",
            shell=True,
            cwd=self._project,
            env=self._env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert running.stdout is not None
        for line in running.stdout:
            self._print(line)
            if line == "testing\n":
                break
        running.send_signal(signal.SIGKILL)
        running.wait(30)
        self._type(f"kill -9 {running.pid}", comment="the process that held the lease is gone")
        end = time.monotonic() + 30
        while "owner_lost" not in self._ask("ls --stuck"):
            if time.monotonic() > end:
                raise SystemExit("the lease is not stuck within 30 s")
            time.sleep(0.1)

    def _ask(self, step: str) -> str:
        done = subprocess.run(
            [LEASEHOLD, *step.split()], cwd=self._project, env=self._env, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise SystemExit(f"leasehold {step} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def _type(self, command: str, comment: str = "") -> None:
        line = Text("$ ", "green").append(command, "bold")
        self.console.print(line.append(f"    # {comment}", "dim") if comment else line)

    def _print(self, text: str) -> None:
        self.console.print(Text(text.rstrip("\n")))


def main() -> None:
    """Play, and write the picture where a file is named."""
    with tempfile.TemporaryDirectory(prefix="leasehold-recording-") as folder:
        recording = Recording(Path(folder))
        recording.play()
        for path in sys.argv[1:]:
            picture = recording.console.export_svg(title="a run is killed, and settled", unique_id="leasehold")
            Path(path).write_text(FONTS.sub("", picture))


if __name__ == "__main__":
    main()
