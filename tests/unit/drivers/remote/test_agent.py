"""The files that are sent to a place are all that its agent needs."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from leasehold.drivers.remote import wire
from leasehold.drivers.remote.agency import code


def test_the_agent_serves_with_nothing_but_its_files(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(code()[1])) as tar:
        tar.extractall(tmp_path / "code", filter="data")
    (tmp_path / "run").mkdir()
    words = ["serve", str(tmp_path / "run"), "marker", str(tmp_path / "fence"), "1"]
    request: dict[str, Any] = {
        "argv": ["sh", "-c", "cat; echo err >&2; exit 3"],
        "shell": False,
        "env": {},
        "folder": str(tmp_path),
        "cwd": None,
        "stdin": 5,
        "streams": False,
        "timeout": 30.0,
        "limit": 100,
        "record": None,
    }
    asked = [
        wire.pack_value(wire.EXECUTE, 1, request),
        wire.pack(wire.STDIN, 1, b"hello"),
    ]
    agent = subprocess.Popen(
        [sys.executable, "-I", "-S", str(tmp_path / "code" / "agent.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
    )
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(b"".join(asked))
    agent.stdin.flush()
    frames: dict[bytes, bytes] = {}
    while wire.REPORT not in frames:
        kind, _, length = wire.unpack_head(agent.stdout.read(wire.HEAD.size))
        frames[kind] = frames.get(kind, b"") + agent.stdout.read(length)
    agent.stdin.close()
    agent.stdout.read()
    agent.stdout.close()
    assert agent.wait(30) == 0
    assert (frames[wire.OUTPUT], frames[wire.ERROR]) == (b"hello", b"err\n")
    report = wire.unpack_value(frames[wire.REPORT])
    assert (report["exit_code"], report["outcome"], report["survivors"]) == (3, "exited", [])
