"""The shell text that runs one command where there is no Python: it holds the deadline, and ends what was started.

``$I`` is the command's number, ``$N`` its record's name, ``$T`` its timeout; ``$RELAY`` says that its input comes
in chunks as it is typed. How the command ended stands behind two NULs at the end of standard error.
"""

# `tree` gives the living processes that bear the mark $1, or stand in session $2, with all below them.
TREE = r"""
tree() {
  { grep -lszF "$1" /proc/[0-9]*/environ | sed 's/^/m /'; cat /proc/[0-9]*/stat; } 2>/dev/null |
    awk -v session="$2" -v me=$$ '
      $1 == "m" { split($2, part, "/"); marked[part[3]] = 1; next }
      { pid = $1; rest = $0; sub(/^.*\) /, "", rest); split(rest, f, " "); state[pid] = f[1]; above[pid] = f[2]
        if (pid in marked || f[4] == session) ours[pid] = 1 }
      END {
        delete ours[me]
        do { more = 0
          for (pid in above) if (!(pid in ours) && (above[pid] in ours)) { ours[pid] = 1; more = 1 }
        } while (more)
        for (pid in ours) if ((pid in state) && state[pid] != "Z" && state[pid] != "X") printf "%s ", pid
      }'
}
end_tree() {
  k=$(tree "$1" "$2")
  [ -z "$k" ] || kill -TERM $k 2>/dev/null
  n=0
  while k=$(tree "$1" "$2"); [ -n "$k" ]; do
    n=$((n + 1))
    [ $n -lt 30 ] || kill -KILL $k 2>/dev/null
    [ $n -lt 120 ] || return
    pause
  done
}
"""

RUN = (
    TREE
    + r"""
fresh
standing
try mkdir -p "$D/run/commands"
[ -z "$N" ] || try rm -f "$D/run/commands/$N.json"
r=$D/run/$I
try mkdir "$r"
trap 'rm -rf "$r"' EXIT
trap 'exit 1' HUP INT TERM PIPE
trap : USR1
try mkfifo "$r/out" "$r/err"
t=$(fed && echo x) || exit 1
t=${t%x}
exec 6<&0
if [ -n "$RELAY" ]; then
  try mkfifo "$r/in"
else
  { fed >"$r/in"; } 2>/dev/null || say unavailable "$r/in cannot be written"
fi
echo $$ >"$r/runner"
m="LEASEHOLD_COMMAND=$K:$I;"
exec 7<>"$r/out" 8<>"$r/err"
cat <"$r/out" 6<&- 7>&- 8>&- & co=$!
cat <"$r/err" >&2 6<&- 7>&- 8>&- & ce=$!
exec 4>&2 2>/dev/null
if [ -n "$RELAY" ]; then exec 5<>"$r/in"; else exec 5<"$r/in"; rm -f "$r/in"; fi
(
  exec 4>&- 6<&- 7>&- 8>&-
  if [ -n "$RELAY" ]; then exec <"$r/in" 5>&-; else exec <&5 5<&-; fi
  umask "$U"
  export "LEASEHOLD_PLACE=$K" "$m"
  eval "$t"
  [ -z "$X" ] || { echo "$X" >"$r/failure"; exit 126; }
  case $1 in
    */*) if [ ! -e "$1" ]; then X=not_found; elif [ -d "$1" ] || [ ! -x "$1" ]; then X=not_executable; fi ;;
    *) command -v -- "$1" >/dev/null 2>&1 || X=not_found ;;
  esac
  case $X in
    not_found) echo "$X" >"$r/failure"; exit 127 ;;
    not_executable) echo "$X" >"$r/failure"; exit 126 ;;
  esac
  exec setsid "$@"
) >"$r/out" 2>"$r/err" & p=$!
(
  exec 4>&- 7>&- 8>&-
  if [ -n "$RELAY" ]; then
    while IFS= read -r n <&6; do
      if [ "$n" = 0 ]; then exec 5>&-; else dd bs="$n" count=1 iflag=fullblock <&6 >&5 2>/dev/null; fi
    done
  else
    read -r n <&6
  fi
  echo target_lost >"$r/why"
  kill -USR1 $$
) >/dev/null 2>&1 & wp=$!
exec 5>&-
tp=
[ -z "$T" ] || { (
  exec 4>&- 6<&- 7>&- 8>&-
  trap 'kill -KILL $s 2>/dev/null; exit' TERM
  sleep "$T" 2>/dev/null & s=$!
  wait $s || { sleep "${T%.*}" & s=$!; wait $s; }
  echo timed_out >"$r/why"
  kill -USR1 $$
) >/dev/null 2>&1 & tp=$!; }
b=$(cut -d' ' -f1 /proc/uptime)
while :; do
  wait $p
  c=$?
  [ ! -s "$r/why" ] || break
  kill -0 $p 2>/dev/null || break
done
why=$(cat "$r/why" 2>/dev/null)
if [ -n "$why" ]; then
  end_tree "$m" $p
  wait $p 2>/dev/null
elif [ -n "$N" ]; then
  printf '{"exit_code": %d}\n' $c >"$D/run/commands/$N.json.new" &&
    mv "$D/run/commands/$N.json.new" "$D/run/commands/$N.json"
fi
[ -z "$tp" ] || kill -TERM $tp 2>/dev/null  # it ends its sleep
kill -KILL $wp 2>/dev/null
left=$(tree "$m" $p)
exec 7>&- 8>&-
n=0
while kill -0 $co 2>/dev/null || kill -0 $ce 2>/dev/null; do
  n=$((n + 1))
  [ $n -le 5 ] || break
  pause
done
for f in out err; do
  exec 7<>"$r/$f"
  setsid cat <"$r/$f" >/dev/null 2>&1 4>&- 6<&- 7>&- &
  [ $f = out ] && kill $co 2>/dev/null
  [ $f = err ] && kill $ce 2>/dev/null
  exec 7>&-
done
wait $co $ce 2>/dev/null
printf '\000\000%s %s %s %s %s\n' "$I" "$c" "${why:-exited}" "$(cat "$r/failure" 2>/dev/null || echo -)" "$left" >&4
"""
)

CANCEL = r"""
r=$D/run/$I
[ -f "$r/runner" ] || exit 0
echo cancelled >"$r/why"
kill -USR1 "$(cat "$r/runner")" 2>/dev/null
:
"""

CLOSE = (
    TREE
    + r"""
fresh
for f in "$D"/run/*/runner; do
  [ -f "$f" ] && echo cancelled >"${f%/runner}/why"
done
end_tree "LEASEHOLD_COMMAND=$K:"
tree "LEASEHOLD_COMMAND=$K:"
"""
)
