"""The pages on sandboxes do what they say."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import Docker
from pages import blocks, commands, fits

pytestmark = pytest.mark.timeout(240)


def test_the_page_on_sandboxes_prints_what_it_shows(
    docker_engine: Docker, require: Callable[[str], str], tmp_path: Path
) -> None:
    require("bwrap")
    config = docker_engine.config()
    image = f"{config['image']} --set 'read_only={json.dumps(config['read_only'])}'"
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "LEASEHOLD_STATE_FOLDER": str(tmp_path / "state"),
        "LEASEHOLD_STORE": f"sqlite:///{tmp_path}/state/leasehold.db",
        "DOCKER_HOST": docker_engine.host,
    }
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "home").mkdir()
    for command, wanted in commands("docs/how-to/sandbox.md"):
        done = subprocess.run(
            ["bash", "-c", command.replace("IMAGE", image)],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert fits(done.stdout.splitlines(), wanted), f"$ {command}\n{done.stdout}{done.stderr}"


def test_a_provider_that_is_written_by_the_page_passes_the_suite(docker_engine: Docker, tmp_path: Path) -> None:
    provider, suite = blocks("docs/how-to/provider.md", "python")
    (tmp_path / "my_engine.py").write_text(provider)
    config = json.dumps(docker_engine.config())
    (tmp_path / "test_my_engine.py").write_text(suite.replace('{"image": "IMAGE"}', config))
    rules = "whole_life or exit_code_comes or a_newer_epoch or destroying_what or config_refuses"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", rules, "test_my_engine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr
