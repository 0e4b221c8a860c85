# Peers of file transfers that mean no good, in all four places: nothing is written outside,
# nothing hangs, memory is bounded, and the daemon is as it was.
. "$(dirname "$0")/../lib.sh"
PEER=${HOSTILE_PEER:-$(dirname "$BUILDCTL")/hostile-peer}
[ -x "$PEER" ] || skip "no hostile-peer at $PEER"
daemon_start
of_daemon() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }
descriptors() { ls "/proc/$daemon_pid/fd" | wc -l; }
settled() {
  [ "$(descriptors)" -le $((fds + 4)) ] && [ "$(of_daemon Threads)" -le $((threads + 8)) ] && clean
}
rest() { wait_for 40 settled || fail "$1 leaves $(descriptors) of $fds descriptors, $(of_daemon Threads) of $threads threads: $(leftovers)"; }

# A client that sends (local) or takes (export) by a script. said TEXT: in what came of it.
client() { timeout -k 5 60 "$PEER" "$@" >"$W/said" 2>&1 || [ $? -lt 124 ] || fail "no end: $*"; }
local_() { client local "$BUILDKIT_HOST" "$@"; }
export_() { client export "$BUILDKIT_HOST" "$@"; }
said() { has "$W/said" "$1"; }

local_ "stat a f644 1" end "asked 1" "data 0 x" "done 0" answer fin # an honest one
said "solve: done"

# refusals TAKE…: what every receiver says to these scripts; TAKE runs one.
refusals() {
  "$@" "stat ../x f644 1"
  said "escape check ../x: invalid argument"
  "$@" "stat .. d755 0"
  said "escape check ..: invalid argument"
  "$@" "stat $W/outside f644 1"
  said "absolute path $W/outside: invalid argument"
  "$@" "stat a d755 0" "stat a/../../x f644 1"
  said "unclean path a/../../x: invalid argument"
  "$@" "stat a l777 0 $W" "stat a/outside f644 1"
  said 'changes out of order: "a/outside" "a"'
  "$@" "stat a f644 0 $W/secret"
  said "invalid link a to unknown path: \"$W/secret\""
  "$@" "stat b f644 0" "stat a f644 0"
  said 'changes out of order: "a" "b"'
  "$@" "stat a f644 1" "data 7 x"
  said "invalid file request 7"
  "$@" "stat a f644 1" end "asked 1" "data 0 x" "done 0" "data 0 y"
  said "invalid file request 0"
  "$@" "err no-more"
  said "error from sender: no-more"
  "$@" fin
  said "unexpected end of transfer"
  "$@" end "stat a f644 0"
  said "stat after the end of the list"
}
echo secret >"$W/secret"
refusals local_
for _ in $(seq 8); do export_ fin; done
# What a daemon that has done this keeps: its pools have threads by now.
fds=$(descriptors) threads=$(of_daemon Threads)
refusals local_
rest "a client that lies"
[ ! -e "$W/outside" ] || fail "a file outside"

# Sizes that were not true, in both directions; two ends; more bytes than memory has room for.
local_ "stat a f644 1" "stat b f644 1000000000000" end "asked 2" "data 0 more-than-one" "done 0" "data 1 x" "done 1" answer fin
said "solve: done"
local_ end end answer fin
said "solve: done"
from_here() { echo 5 >"/proc/$daemon_pid/clear_refs"; before=$(of_daemon VmHWM); } # the peak counts
from_here
local_ "stat a f644 1" end "asked 1" "bytes 0 1000000000" "done 0" answer fin
said "solve: done"
[ $(($(of_daemon VmHWM) - before)) -lt 150000 ] || fail "a large file took $(of_daemon VmHWM) KiB, before $before"
from_here
local_ "stats 100000" "asked 100000" vanish
rest "a client with files without number"
echo "100000 entries: $(($(of_daemon VmHWM) - before)) KiB"
[ $(($(of_daemon VmHWM) - before)) -lt 200000 ] || fail "entries took $(of_daemon VmHWM) KiB, before $before"
from_here
local_ "stats 200000 $(printf %04000d 0)" answer
said "transfer with more than 536870912 bytes of names and attributes"
rest "a client with names without number"
echo "512 MiB of names: $(($(of_daemon VmHWM) - before)) KiB"
[ $(($(of_daemon VmHWM) - before)) -lt 900000 ] || fail "names took $(of_daemon VmHWM) KiB, before $before"

# Clients that neither read nor hang up after their mistake, and such as go in the middle.
local_ "stat ../x f644 1" hang
said "escape check ../x: invalid argument"
export_ list "req 77" hang
said "invalid file id 77"
rest "a client that does not hang up"
for script in "asked 1" "bytes 0 300000"; do
  local_ "stat a f644 1000000" end "asked 1" "$script" vanish
done
export_ list "req 0" "req 1" "req 2" "req 3" vanish
rest "a client that vanishes"

# The sender in the daemon.
export_ list "req 0" "req 0"
said "invalid file id 0"
export_ "err no-more"
said "error from receiver: no-more"
export_ fin
said "solve: done"
rest "a client that takes nothing"

# Other builds go on.
dockerfile <<'D'
FROM base
RUN echo others go on
D
build 2>"$W/other" || { cat "$W/other"; fail "another build fails"; }

# The other side: a daemon by the script, and the client's own folders. It ends with its build.
daemon_of() { # daemon_of OUTPUT SCRIPT…
  local output=$1 peer
  shift
  rm -f "$W/peer.sock"
  "$PEER" daemon "$W/peer.sock" "$@" >"$W/peer.log" 2>&1 &
  peer=$!
  wait_for 10 test -S "$W/peer.sock" || fail "the hostile daemon does not start"
  # shellcheck disable=SC2086
  timeout -k 5 60 "$BUILDCTL" --addr "unix://$W/peer.sock" build --progress=plain --frontend dockerfile.v0 \
    --local context="$W/ctx" $output >"$W/said" 2>&1 || [ $? -lt 124 ] || fail "the client does not end: $*"
  kill -KILL $peer
  wait $peer 2>/dev/null || true
}
mkdir "$W/out"
to_client() { daemon_of "--output type=local,dest=$W/out" "$@"; }
from_client() { daemon_of "" "$@"; }
refusals to_client
[ ! -e "$W/outside" ] && [ ! -e "$W/x" ] || fail "a file outside"
has "$W/secret" secret
to_client "stat a f644 1" end "asked 1" "data 0 more-than-one" "done 0" answer fin
has "$W/out/a" more-than-one
from_client list "req 77"
said "invalid file id 77"
from_client list "err no-more"
said "error from receiver: no-more"
from_client list "req 0" "req 0"
said "invalid file id 0"
