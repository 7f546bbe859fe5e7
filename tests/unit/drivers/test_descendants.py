"""The processes below this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from leasehold.drivers import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these look into /proc")


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A shell and the child that it waits for."""
    shell = subprocess.Popen(
        ["bash", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert shell.stdout is not None
    with shell.stdout:
        yield shell.pid, int(shell.stdout.readline())
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(10)


def test_children_and_all_below(family: tuple[int, int]) -> None:
    shell, child = family
    assert descendants.children(shell) == [child]
    assert {shell, child} <= set(descendants.below(os.getpid()))


def test_what_is_below_a_shielded_one_is_left_out(family: tuple[int, int]) -> None:
    shell, child = family
    found = descendants.below(os.getpid(), frozenset({shell}))
    assert shell in found
    assert child not in found


def test_a_kernel_without_lists_of_children_is_walked(family: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    shell, child = family

    def exists(_: str) -> bool:
        return False

    monkeypatch.setattr(os.path, "exists", exists)
    assert descendants.children(shell) == [child]


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert descendants.started(child.pid) is not None
    assert not descendants.runs(child.pid)
    child.wait(10)
    assert descendants.started(child.pid) is None


def test_a_leader_that_ended_before_its_threads_runs() -> None:
    program = (
        "import ctypes, sys, threading\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        "print(1, flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    with child.stdout, child.stdin:
        child.stdout.readline()
        assert descendants.runs(child.pid)
        child.kill()
        child.wait(10)


def test_signals_pass_over_what_is_gone_or_not_ours() -> None:
    child = subprocess.Popen(["true"])
    child.wait(10)
    descendants.send(signal.SIGTERM, [child.pid])
