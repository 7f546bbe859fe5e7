"""The house stands as DESIGN section 2 says: imports, file sizes, names, packages and docstrings."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("orchestrator", "states", "drivers")
LONGEST = 400


def _modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _project() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def test_imports_run_one_way() -> None:
    """The import contracts of pyproject.toml hold."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_states_import_nothing_that_acts() -> None:
    """``states`` is pure: of the standard library it takes only what computes."""
    allowed = {"enum", "dataclasses", "collections", "typing", "operator", "leasehold"}
    for path in (ROOT / "states").rglob("*.py"):
        for node in ast.walk(_tree(path)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed, f"{_named(path)} imports {name}"
                assert not name.startswith("leasehold") or name.startswith("leasehold.states"), _named(path)


@pytest.mark.parametrize("path", _modules(), ids=_named)
def test_a_file_has_one_noun(path: Path) -> None:
    """A file that passes about 400 lines has two nouns in it."""
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{lines} lines"


def test_no_module_is_a_drawer() -> None:
    """A module is named after what is in it."""
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    assert [_named(path) for path in _modules() if path.stem.strip("_") in drawers] == []
    assert [_named(path) for path in _modules() if path.parent.name in drawers] == []


def test_nothing_is_cleaned_up_by_the_garbage_collector() -> None:
    """``__del__`` runs nobody knows when, or never."""
    for path in _modules():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.name != "__del__", _named(path)


def test_every_package_is_built() -> None:
    """setuptools only warns of a package that is not listed, and the wheel lacks it."""
    listed = set(_project()["setuptools"]["packages"])
    there = {
        "leasehold." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in _modules()
        if path.name == "__init__.py"
    }
    assert there == listed
    without = {path.parent for path in _modules() if not (path.parent / "__init__.py").exists()}
    assert without == set()


def test_every_package_is_typed() -> None:
    data = _project()["setuptools"]["package-data"]
    for folder in FOLDERS:
        assert (ROOT / folder / "py.typed").is_file()
        assert "py.typed" in data[f"leasehold.{folder}"]


def test_the_links_for_type_checkers_are_there() -> None:
    """``.typing/leasehold/*`` lead to the three folders; with them lost, only type checking fails."""
    for folder in FOLDERS:
        link = ROOT / ".typing" / "leasehold" / folder
        assert link.is_symlink(), link
        assert link.resolve() == ROOT / folder


@pytest.mark.parametrize("path", _modules(), ids=_named)
def test_every_module_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(_tree(path)) or ""
    assert len(said) > 10, "it has no docstring"


def _public() -> Iterator[tuple[Path, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All that stands in an ``__all__`` of ours, where it is defined."""
    exported: set[str] = set()
    for path in _modules():
        for node in _tree(path).body:
            if isinstance(node, ast.Assign) and any(
                isinstance(name, ast.Name) and name.id == "__all__" for name in node.targets
            ):
                exported |= set(ast.literal_eval(node.value))
    for path in _modules():
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name in exported:
                yield path, node


def test_every_public_name_says_what_it_is() -> None:
    found = list(_public())
    assert len(found) > 50
    silent = [f"{_named(path)}: {node.name}" for path, node in found if not ast.get_docstring(node)]
    assert silent == []


def test_every_package_says_what_it_offers() -> None:
    """The three packages name their public names, and each of them is there."""
    for folder in FOLDERS:
        package = __import__(f"leasehold.{folder}", fromlist=["__all__"])
        names: list[str] = package.__all__
        assert names
        assert len(set(names)) == len(names)
        for name in names:
            assert getattr(package, name) is not None
