"""The shell text that stands before every script at a place: saying no, feeding, and the fence.

The far side may have no more than busybox. What a script needs is passed as variables; an answer that is
no is one line on standard error, ``leasehold: KIND: message``, and the exit status 90.
"""

import shlex
from collections.abc import Mapping

REFUSED = 90
"""The exit status of a script that said no by itself."""

NEEDED = ("tar", "find", "xargs", "stat", "dd", "md5sum", "mkfifo", "setsid", "awk", "grep", "sed")
"""Programs that scripts start, which a small system may lack; busybox has them all."""

_SAYING = r"""
say() { printf 'leasehold: %s: %s\n' "$1" "$2" >&2; exit 90; }
try() { e=$("$@" 2>&1 >/dev/null) || say unavailable "${e:-$1 failed}"; }
pause() { sleep 0.05 2>/dev/null || sleep 1; }
U=$(umask); umask 077
"""

# The size of each chunk comes before it, in a line: `read` takes no byte more than the line, and `dd` none more
# than it is told. (busybox `head -c` may.)
_FEEDING = r"""
fed() {
  while IFS= read -r n; do
    [ "$n" = 0 ] && return 0
    dd bs="$n" count=1 iflag=fullblock 2>/dev/null || return 1
  done
  return 1
}
"""

_PLACE = r"""
case $R in '~') R=$HOME ;; '~/'*) R=$HOME/${R#'~/'} ;; /*) ;; *) R=$HOME/$R ;; esac
D=$R/$K F=$R/.fences/$K
started() { s=; { read -r s </proc/$1/stat; } 2>/dev/null || return 1; s=${s##*) }; set -- $s; echo "${20}"; }
standing() { [ -f "$D/place.json" ] || say gone "the place $K is gone"; }
fresh() {
  seen=0 stays=goes
  [ -s "$F" ] && read -r seen stays <"$F"
  seen=${seen#"${seen%%[!0]*}"} seen=${seen:-0}
  [ "$E" -ge "$seen" ] || say stale "the place $K has seen epoch $seen; a verb under epoch $E is refused"
}
"""

# A lock that is held by the kernel where `flock` is there; else a file, which says from its first moment on
# whose it is, for a holder that was killed takes no file with it.
_FENCE = r"""
lock_file() {
  printf '%s %s' $$ "$(started $$)" >"$F.by.$$" || say unavailable "$R/.fences cannot be written"
  until ln "$F.by.$$" "$F.lock" 2>/dev/null; do
    o=$(cat "$F.lock" 2>/dev/null)
    if [ -n "$o" ] && [ "$(started "${o% *}")" != "${o#* }" ] && mv "$F.lock" "$F.gone.$$" 2>/dev/null; then
      [ "$(cat "$F.gone.$$" 2>/dev/null)" = "$o" ] || ln "$F.gone.$$" "$F.lock" 2>/dev/null
      rm -f "$F.gone.$$"
      continue
    fi
    waited
  done
  rm -f "$F.by.$$"
  trap 'rm -f "$F.lock"' EXIT
  trap 'exit 1' HUP INT TERM PIPE
}
waited() {
  w=$((${w:-0} + 1))
  [ $w -le $W ] || { rm -f "$F.by.$$"; say timed_out "another verb holds the place $K"; }
  pause
}
fence() {
  try mkdir -p "$R/.fences"
  while :; do
    try touch "$F"
    exec 9<>"$F"
    if command -v flock >/dev/null 2>&1; then until flock -n 9; do waited; done; else lock_file; fi
    if [ ! -e /proc/self/fd/9 ] || [ "$F" -ef /proc/self/fd/9 ]; then break; fi
    rm -f "$F.lock"
  done
  fresh
  [ "$E" -le "$seen" ] && return
  [ "$seen" -eq 0 ] || stays=stays
  mark || [ "$1" = full ] || say unavailable "$F cannot be written"
}
mark() { printf '%020d %s\n' "$E" "$stays" 1<>"$F"; }
"""


def place_script(text: str, *, root: str, key: str, epoch: int, seconds: float, **variables: object) -> str:
    """A script about one place: ``$R`` root, ``$K`` key, ``$E`` epoch, ``$D`` its folder, ``$F`` its fence.

    ``fence`` takes the fence, and refuses an older epoch, which ``fence full`` does also on a full disk, for an end;
    ``fresh`` refuses it without waiting for anybody.
    """
    waits = max(1, int(min(seconds, 3600.0) / 0.05))
    head = assignments({"R": root, "K": key, "E": epoch, "W": waits, **variables})
    return head + _SAYING + _FEEDING + _PLACE + _FENCE + text


def plain_script(text: str, **variables: object) -> str:
    """A script that is about no place."""
    return assignments(variables) + _SAYING + _FEEDING + text


def assignments(variables: Mapping[str, object]) -> str:
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in variables.items())
