"""Whether places would stand and run on a host now."""

import asyncio
import math
import time
from pathlib import Path

from leasehold.drivers.context import Context
from leasehold.drivers.driver import Check, Health
from leasehold.drivers.errors import DriverError, TimedOut
from leasehold.drivers.remote.asking import ask
from leasehold.drivers.remote.link import Link
from leasehold.drivers.remote.prelude import NEEDED, plain_script
from leasehold.drivers.secret import can_be_read
from leasehold.drivers.ssh.config import SshConfig

_BOUND = 60.0
_LEAST_SPACE = 256 * 1024

# Looks, and makes nothing: the nearest folder above the root that is there says whether it can be made.
_LOOK = r"""
case $R in '~') R=$HOME ;; '~/'*) R=$HOME/${R#'~/'} ;; /*) ;; *) R=$HOME/$R ;; esac
s=$R
while [ ! -e "$s" ]; do s=${s%/*}; s=${s:-/}; done
echo "root $R"
echo "standing $s"
if [ ! -d "$s" ]; then echo "writable no folder"
elif [ ! -w "$s" ] || [ ! -x "$s" ]; then echo "writable no"
else echo "writable yes"; fi
echo "space $(df -Pk "$s" 2>/dev/null | awk 'NR==2 {print $4}')"
for p in $P; do command -v "$p" >/dev/null 2>&1 || echo "lacks $p"; done
command -v bash >/dev/null 2>&1 && echo "bash $(command -v bash)"
python3 -I -S -c 'import sys; print("python", *sys.version_info[:3], sys.version_info >= (3, 10))' 2>/dev/null
:
"""


async def look(config: SshConfig, link: Link) -> Health:
    """Log in and look at the host. Leaves nothing."""
    context = Context(config, time.monotonic() + _BOUND, 0, "", "", Path())
    begun = time.monotonic()
    checks: list[Check] = []
    if config.identity is not None or config.variables:
        checks.append(await _secrets(config))
    try:
        said = await ask(link, plain_script(_LOOK, R=config.root, P=" ".join(NEEDED)), context)
    except DriverError as error:
        mend = error.hint or ("raise connect_timeout" if isinstance(error, TimedOut) else "look at the host")
        return Health((*checks, Check("login", False, str(error), mend, time.monotonic() - begun)))
    lasted = time.monotonic() - begun
    rows = [line.partition(" ") for line in said.decode("utf-8", "replace").splitlines()]
    found = {name: value for name, _, value in rows}
    lacks = [value for name, _, value in rows if name == "lacks"]
    return Health(
        (
            *checks,
            Check("login", True, f"{link.name} answers", "", lasted),
            _root(found),
            _space(found),
            _programs(lacks),
            _bash(found),
            _python(found),
        )
    )


async def _secrets(config: SshConfig) -> Check:
    begun = time.monotonic()
    names = [*([config.identity] if config.identity else []), *config.variables.values()]
    try:
        told = await asyncio.to_thread(can_be_read, names)
    except DriverError as error:
        return Check("secrets", False, str(error), error.hint or "mend the secret", time.monotonic() - begun)
    return Check("secrets", True, told, "", time.monotonic() - begun)


def _root(found: dict[str, str]) -> Check:
    root, standing = found.get("root", "?"), found.get("standing", "?")
    if found.get("writable") == "yes":
        return Check("root", True, root)
    return Check("root", False, f"{root} cannot be made or written", f"make {standing} writable, or set another root")


def _space(found: dict[str, str]) -> Check:
    text = found.get("space", "")
    free = int(text) if text.isdigit() else math.inf
    if free < _LEAST_SPACE:
        return Check("space", False, f"{free / 1e3:.0f} MB are free there", "make room, or set another root")
    return Check("space", True, f"{free / 1e6:.1f} GB free" if math.isfinite(free) else "df says nothing")


def _programs(lacks: list[str]) -> Check:
    if lacks:
        return Check("programs", False, f"the host lacks {', '.join(lacks)}", f"install {' '.join(lacks)} there")
    return Check("programs", True, ", ".join(NEEDED))


def _bash(found: dict[str, str]) -> Check:
    if "bash" in found:
        return Check("bash", True, found["bash"])
    return Check("bash", True, "not there: a provision command cannot run until it is")


def _python(found: dict[str, str]) -> Check:
    words = found.get("python", "").split()
    if words and words[-1] == "True":
        return Check("python", True, ".".join(words[:3]))
    detail = "no python3 of 3.10 or newer: commands run below a shell, which misses what hides from it"
    return Check("python", True, detail)
