"""What is wrong is seen before a place is made, and a probe tells how the machine is."""

import os
from pathlib import Path

import pytest
from bench import Bench, print_of, sh
from leasehold.drivers import Mode, Workspace
from leasehold.drivers.local import LocalConfig
from pydantic import ValidationError


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        ("true", "nowhere", "does not exist: make it, or name another"),
        ("touch file", "file", "is not a folder: name the folder that it is in"),
        ("ln -s nothing link", "link", "is a link to nothing: mend or replace the link"),
        ("touch file; ln -s file link", "link", "is not a folder: name the folder that it is in"),
    ],
)
def test_a_workspace_that_cannot_be_used(
    bench: Bench, tmp_path: Path, mode: Mode, make: str, name: str, message: str
) -> None:
    sh(tmp_path, make)
    before = print_of(tmp_path)
    found = bench.driver.validate(bench.request("lease1", Workspace(tmp_path / name, mode)), LocalConfig())
    assert [(problem.about, problem.message) for problem in found] == [
        ("workspace", f"the workspace {tmp_path / name} {message}")
    ]
    assert print_of(tmp_path) == before


def test_permissions_are_looked_at(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = os.R_OK

    def access(_: Path, mode: int) -> bool:
        return not mode & denied

    monkeypatch.setattr(os, "access", access)
    request = bench.request("lease1", Workspace(tmp_path, Mode.IN_PLACE))
    (problem,) = bench.driver.validate(request, LocalConfig())
    assert problem.message.endswith("cannot be read: change its owner or permissions")
    denied = os.W_OK
    (problem,) = bench.driver.validate(request, LocalConfig())
    assert problem.message.endswith("cannot be written: change its owner or permissions")
    assert bench.driver.validate(bench.request("lease1", Workspace(tmp_path, Mode.COPY)), LocalConfig()) == []


def test_a_request_that_makes_no_sense(bench: Bench, tmp_path: Path) -> None:
    (problem,) = bench.driver.validate(
        bench.request("lease1", Workspace(tmp_path, Mode.COPY, branch="main")), LocalConfig()
    )
    assert (problem.about, problem.message) == ("request", "a branch needs the mode git_worktree, not copy")
    (problem,) = bench.driver.validate(bench.request("lease1", Workspace(Path("relative"), Mode.COPY)), LocalConfig())
    assert problem.message == "the workspace relative is not an absolute path: give the whole path"


def test_the_same_folder_is_the_same_subject_by_any_name(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "{odd} tree").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "{odd} tree")

    def subjects(path: Path, mode: Mode = Mode.IN_PLACE, *, share: bool = False) -> tuple[str, ...]:
        return bench.driver.subjects(bench.request("lease1", Workspace(path, mode), share=share), LocalConfig())

    (subject,) = subjects(tmp_path / "link")
    assert subjects(tmp_path / "{odd} tree") == (subject,)
    assert subject.startswith("dir:")
    assert subject.endswith(f":{tmp_path}/{{odd}} tree")
    assert subjects(tmp_path) != (subject,)
    assert subjects(tmp_path / "link", share=True) == ()
    assert subjects(tmp_path / "link", Mode.COPY) == ()


def test_a_config_names_secrets_and_gives_none() -> None:
    with pytest.raises(ValidationError):
        LocalConfig(variables={"TOKEN": "the value itself"})
    with pytest.raises(ValidationError):
        LocalConfig.model_validate({"unknown": 1})
    config = LocalConfig(variables={"TOKEN": "env:TOKEN"})
    assert LocalConfig.model_validate(config.model_dump(mode="json")) == config


async def test_a_probe_tells_what_it_saw(bench: Bench, tmp_path: Path) -> None:
    health = await bench.driver.probe(LocalConfig(root=tmp_path / "not" / "there yet"))
    assert health.ok
    assert [check.name for check in health.checks] == ["root", "git", "supervisor"]
    assert all(check.detail and check.duration > 0 for check in health.checks)
    assert print_of(tmp_path) == {}


async def test_a_probe_of_a_sick_machine_says_how_to_mend_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.20.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("MISSING", raising=False)
    config = LocalConfig(root=tmp_path / "file" / "places", variables={"TOKEN": "env:MISSING"})
    health = await bench.driver.probe(config)
    assert {check.name: check.mend for check in health.checks if not check.ok} == {
        "root": f"make {tmp_path}/file a folder that you may write",
        "git": "install git 2.31 or newer, or use in_place and copy alone",
        "variables": "set MISSING and try again",
    }
    assert not health.ok
