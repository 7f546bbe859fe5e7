"""The programs that scripts start at a place: a probe looks for each, and the pages name them."""

import shutil
from pathlib import Path

import pytest
from leasehold.drivers.remote.prelude import NEEDED
from leasehold.drivers.ssh import SshConfig
from shell import ShellDriver

DOCS = Path(__file__).parents[4] / "docs" / "how-to"


@pytest.mark.parametrize("lost", NEEDED)
async def test_a_probe_says_what_is_missing(lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"sh", "df", *NEEDED} - {lost}:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    health = await ShellDriver().probe(SshConfig.model_validate({"host": "here", "root": str(tmp_path)}))
    assert [check.detail for check in health.checks if not check.ok] == [f"the host lacks {lost}"]


@pytest.mark.parametrize("page", ["ssh.md", "sandbox.md", "kubernetes.md"])
def test_the_pages_name_them_all(page: str) -> None:
    text = " ".join((DOCS / page).read_text().split())
    assert f"a{' POSIX' if page == 'ssh.md' else ''} `sh`, and {', '.join(f'`{name}`' for name in NEEDED)}:" in text
