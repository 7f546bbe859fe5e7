"""What is said of a provision command that failed."""

import pytest
from leasehold.drivers import Outcome, Output, Result
from leasehold.orchestrator.provisioning import provision_detail


@pytest.mark.parametrize(
    ("error", "stderr", "detail"),
    [
        ("not_found", b"", "exit code 127: the place has no bash"),
        (None, b"make: not found\n", "exit code 127: make: not found"),
        (None, b"", "exit code 127"),
    ],
)
def test_a_place_without_bash_says_so(error: str | None, stderr: bytes, detail: str) -> None:
    result = Result(127, None, Output(b""), Output(stderr), Outcome.EXITED, (), 0.1, error=error)
    assert provision_detail(result) == detail
