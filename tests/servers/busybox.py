"""A place with nothing but busybox, reached by running shell text in a bubblewrap sandbox: no Python, git or bash."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.process_link import ProcessLink
from leasehold.drivers.ssh import SshConfig, SshDriver


def make_root(folder: Path) -> Path:
    """A root with busybox's programs and a ``/tmp``."""
    root = folder / "busybox"
    if not root.exists():
        beside = folder / "busybox.new"
        (beside / "bin").mkdir(parents=True)
        for name in ("dev", "proc", "tmp", "root"):
            (beside / name).mkdir()
        program = shutil.which("busybox")
        assert program is not None
        shutil.copy(program, beside / "bin" / "busybox")
        subprocess.run([beside / "bin" / "busybox", "--install", "-s", beside / "bin"], check=True, timeout=30)
        for link in (beside / "bin").iterdir():
            if link.is_symlink():
                link.unlink()
                link.symlink_to("busybox")
        beside.rename(root)
    return root


class BusyboxDriver(SshDriver):
    """The ssh driver, whose host is such a root: ``host`` names its folder, which also holds the places."""

    def _connection(self, config: SshConfig, learn: Callable[[str], None] | None = None) -> Link:
        folder = Path(config.host)
        words = ["bwrap", "--clearenv", "--setenv", "PATH", "/bin", "--setenv", "HOME", "/root", "--die-with-parent"]
        words += ["--bind", str(make_root(folder)), "/", "--proc", "/proc", "--dev", "/dev"]
        words += ["--bind", str(folder), str(folder), "--chdir", "/"]
        return ProcessLink("busybox", words)
