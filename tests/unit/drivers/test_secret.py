"""A secret that cannot be read is refused in one way, whatever is wrong with it."""

from pathlib import Path

import pytest
from leasehold.drivers import Refused, SecretRef


def test_the_three_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "käse")
    (tmp_path / "file").write_bytes("käse\n".encode())
    for reference in ("env:GIVEN", f"file:{tmp_path}/file", f"cmd:cat '{tmp_path}/file'"):
        assert SecretRef(reference).resolve() == "käse"


@pytest.mark.parametrize("kind", ["file:{}", "cmd:cat {}"])
def test_what_is_no_text_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="UnicodeDecodeError"):
        SecretRef(kind.format(tmp_path / "file")).resolve()


@pytest.mark.parametrize("reference", ["env:NOT_SET", "file:/not/there", "cmd:exit 3", "cmd:kill -KILL $$"])
def test_what_is_not_there_is_refused(reference: str) -> None:
    with pytest.raises(Refused):
        SecretRef(reference).resolve()
