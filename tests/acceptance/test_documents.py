"""The README, the tutorial and the platform do what they say: every console block is run, every program too."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import ROOT, blocks, commands, fits
from sshd import Sshd, program
from stores import on_sqlite

END = "--- end of command"

pytestmark = pytest.mark.timeout(180)


def environment(folder: Path, store_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LEASEHOLD_STATE_FOLDER": str(folder / "state"),
        "LEASEHOLD_STORE": store_url,
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }


def test_the_tutorial_prints_what_it_shows(store_url: str, tmp_path: Path) -> None:
    wanted = commands("docs/tutorial.md")
    assert len(wanted) > 15
    script = "exec 2>&1\n" + "".join(f"{command}\necho '{END}'\n" for command, _ in wanted)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(tmp_path, store_url),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    parts = done.stdout.split(f"{END}\n")
    for (command, expected), out in zip(wanted, parts, strict=False):
        assert fits(out.splitlines(), expected), f"$ {command}\n{out}\nwanted:\n" + "\n".join(expected)
    assert len(parts) == len(wanted) + 1


def test_the_program_of_the_readme_runs(store_url: str, tmp_path: Path) -> None:
    [program] = blocks("README.md", "python")
    assert len([line for line in program.splitlines() if line.strip()]) <= 12
    project = tmp_path / "project"
    project.mkdir()
    (project / "program.py").write_text(program)
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *step], check=True, timeout=30)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=project,
        env=environment(tmp_path, store_url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"l\w+ targeted 0 Python 3\.\d+\.\d+\n", done.stdout)


def test_the_platform_prints_what_it_shows(store_url: str, tmp_path: Path) -> None:
    [program] = blocks("docs/how-to/platform.md", "python")
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "heartbeat.py").write_text(program)
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for step in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *step], check=True, timeout=30)
    for command, wanted in commands("docs/how-to/platform.md"):
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1; {command.replace('heartbeat.py', '../heartbeat.py')}"],
            cwd=project,
            env=environment(tmp_path, store_url),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert fits(done.stdout.splitlines(), wanted), f"$ {command}\n{done.stdout}"


@on_sqlite
def test_the_ssh_page_does_what_it_says(store_url: str, tmp_path: Path, require: Callable[[str], str]) -> None:
    if program() is None:
        require("sshd")
    server = Sshd(tmp_path / "sshd")
    work = tmp_path / "work"
    work.mkdir()
    facts = {
        "HOST": server.host,
        "PORT": str(server.port),
        "USERNAME": server.user,
        "IDENTITY": str(server.identity),
        "KNOWN_HOSTS": str(server.known_hosts),
    }
    server.start()
    try:
        for command, wanted in commands("docs/how-to/ssh.md"):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=work,
                env={**environment(tmp_path, store_url), **facts, "OLDPWD": str(work)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            assert wanted == ["…"] or fits(done.stdout.splitlines(), wanted), f"$ {command}\n{done.stdout}"
    finally:
        server.stop()


def test_the_tests_that_the_map_of_the_original_names_are_there() -> None:
    page = (ROOT / "docs" / "original.md").read_text()
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)(?:::(\w+))?`", page)
    tests = {(path, name) for path, name in named if Path(path).name.startswith("test_")}
    assert len(tests) > 40
    for path, name in tests:
        file = ROOT / (path if path.startswith("tests/") else f"tests/unit/orchestrator/{path}")
        assert file.exists(), path
        assert not name or f"def {name}(" in file.read_text(), f"{path}::{name}"


def test_each_value_and_rule_of_the_original_has_a_test() -> None:
    """In the tables of values, rules and sufferings; what is not yet there says so."""
    page = (ROOT / "docs" / "original.md").read_text().partition("## Values")[2]
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.startswith(("| value |", "| rule |", "| the original |"))]
    assert len(rows) > 55
    for row in rows:
        assert "`test" in row.rpartition("|")[0].rpartition("|")[2] or "`not yet: issue " in row, row


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
