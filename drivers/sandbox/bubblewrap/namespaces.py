"""What a bubblewrap sandbox sees of this machine: the words for ``bwrap``."""

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from leasehold.drivers.capabilities import Mode
from leasehold.drivers.confinement import Confinement, interpreter
from leasehold.drivers.context import Context
from leasehold.drivers.errors import Damaged, Gone, Unavailable
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.worktree import repository_of
from leasehold.drivers.remains import MARKER
from leasehold.drivers.sandbox.bubblewrap.apart import Apart
from leasehold.drivers.sandbox.bubblewrap.config import BubblewrapConfig

PROGRAM = "bwrap"
MISSING = "bubblewrap is not installed"
INSTALL = "install it: apt-get install bubblewrap, or dnf install bubblewrap"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix")
_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "PIP_CONFIG_FILE")
_RESOLVER = Path("/etc/resolv.conf")


def home_of(env: Mapping[str, str]) -> Path:
    """Where the home folder stands, in the sandbox as outside of it; what stands there outside is not seen."""
    return Path(env.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def confinement(place: Place, config: BubblewrapConfig, env: Mapping[str, str], context: Context) -> Confinement:
    """The namespaces of a place whose workspace is realized. Raises ``Unavailable`` without bubblewrap.

    Later words go over earlier ones: the system, a home and a /tmp of the place's own, then the tree, so
    that a tree below the home is seen.
    """
    private: list[str] = []
    for name, seen_as in (("tmp", "/tmp"), ("home", str(home_of(env)))):
        folder = place.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        private += ["--bind", str(folder), seen_as]
    shown = [
        *_bound("--ro-bind-try", _named(config, env)),
        *_bound("--ro-bind", config.read_only),
        *_bound("--bind", config.writable),
        *_tree(place, context),
    ]
    return confined(private, shown, network=config.network, marker=place.key)


def confined(private: Iterable[str], shown: Iterable[str], *, network: bool, marker: str) -> Confinement:
    """Namespaces with the system, then what is ``private``, then our supervisor's program, then what is ``shown``."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise Unavailable(MISSING, hint=INSTALL)
    words = [program, *_NAMESPACES, *([] if network else ["--unshare-net"])]
    words += ["--cap-drop", "ALL", "--hostname", "leasehold", "--as-pid-1"]
    words += [*_system(), "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--dir", "/var"]
    words += ["--symlink", "/tmp", "/var/tmp", *private, *_bound("--ro-bind", _interpreter()), *shown]
    words += ["--remount-ro", "/", "--chdir", "/", "--"]
    return Confinement(words, {"PATH": os.environ.get("PATH", os.defpath), MARKER: marker})


def _system() -> list[str]:
    words: list[str] = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return words


def _interpreter() -> list[Path]:
    """What our supervisor needs: Python's own files and ours, where they are no part of the system."""
    needed = {interpreter(), Path(sys.base_prefix).resolve(), Path(__file__).parents[2]}
    return sorted(path for path in needed if not _in_system(path))


def _named(config: BubblewrapConfig, env: Mapping[str, str]) -> list[Path]:
    """Where variables that pass say that certificates are, and how names are resolved where there is a network."""
    named = [Path(env[name]) for name in _CERTIFICATES if env.get(name)]
    if config.network:
        named.append(_RESOLVER.resolve())
    return [path for path in named if path.is_absolute() and not _in_system(path.resolve())]


def _in_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _SYSTEM)


def _tree(place: Place, context: Context) -> list[str]:
    facts = place.realized()
    if facts is None or not facts["made"]:
        raise Gone(f"the place {place.key} has no tree yet", hint="realize the workspace again")
    mode = Mode(facts["mode"])
    if mode is Mode.IN_PLACE:
        return [*_bound("--bind", [Path(facts["cwd"])])]
    words = _bound("--bind", [place.tree])
    return words + _repository(place, facts, context) if mode is Mode.GIT_WORKTREE else words


def _repository(place: Place, facts: dict[str, Any], context: Context) -> list[str]:
    """As much of a worktree's repository as git needs to commit: the worktree's own record, and what stands apart.

    What git outside would run or follow (configuration, hooks, where the repository is) stays read-only.
    """
    common = Path(facts["common"])
    pointer = place.tree / ".git"
    try:
        record = Path(os.fsdecode(pointer.read_bytes()).removeprefix("gitdir:").strip())
    except OSError as error:
        raise Gone(f"the worktree {place.tree} is gone") from error
    if record.parent.resolve() != common / "worktrees":
        raise Damaged(f"{pointer} leads out of its repository")
    read_only = [pointer, *(record / name for name in ("commondir", "gitdir", "config.worktree"))]
    read_only[-1].touch()  # what is not there could be made
    apart = Apart.of(place, facts).words(repository_of(place, facts, context))
    return [*_bound("--ro-bind", [common]), *_bound("--bind", [record]), *apart, *_bound("--ro-bind", read_only)]


def _bound(word: str, paths: Iterable[Path]) -> list[str]:
    return [text for path in paths for text in (word, str(path), str(path))]
