"""The built wheel: what is in it, and that it works where nothing else of this repository is."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        f"leasehold/{path.relative_to(ROOT)}"
        for folder in ("states", "drivers", "orchestrator")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".mako") or path.name == "py.typed"
    }
    assert modules <= names
    rest = {name for name in names - modules if ".dist-info/" not in name}
    assert rest == set(), "a top-level package beside leasehold would break its host"
    assert "leasehold/__init__.py" not in names


def test_the_source_distribution_holds_tests_and_docs(wheel: Path) -> None:
    [source] = wheel.parent.glob("*.tar.gz")
    listed = call("tar", "tzf", source, cwd=wheel.parent)
    for part in ("tests/conftest.py", "docs/generate.py", "LICENSE", "README.md"):
        assert part in listed


def test_an_installed_wheel_leads_a_life(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)
    state = tmp_path / "state"
    out = call(
        "env",
        f"LEASEHOLD_STATE_FOLDER={state}",
        f"LEASEHOLD_STORE=sqlite:///{state}/l.db",
        place / "bin" / "leasehold",
        "run",
        "--",
        "echo",
        "from the wheel",
        cwd=tmp_path,
    )
    assert out == "from the wheel\n"
