# The value of a secret is in no file of the daemon's: not after builds that succeed, fail
# and are killed, not in what they export, and not in a core of the daemon.
. "$(dirname "$0")/../lib.sh"
VALUE=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$VALUE" >"$W/token"
mkdir -p "$W/cwd" "$W/out"
# Cores land in the folder where the daemon is, unless the machine sends them elsewhere.
cores= ; case $(cat /proc/sys/kernel/core_pattern) in core | core.%p) cores=yes ;; esac
start() { cd "$W/cwd" && ulimit -c unlimited && daemon_start "$@" && cd "$W"; }

dockerfile <<'D'
FROM base
ARG STEP
RUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=token,target=/etc/token,mode=0444 \
    --mount=type=secret,id=token --mount=type=cache,target=/cache \
    test "$(cat /run/secrets/token)" = "$TOKEN" && test "$(cat /etc/token)" = "$TOKEN" && \
    env | wc -c && echo $STEP > /made && sh -c "$STEP"
D
with_secret() {
  build --secret "id=token,src=$W/token" --opt attest:provenance=mode=max "$@"
}
# Files with the value, also behind one layer of compression. On disk: what is mounted there
# for a running step is memory.
traces() {
  find "$@" -xdev -type f -exec grep -laF -- "$VALUE" {} + || true
  find "$@" -xdev -type f -path '*sha256*' -exec sh -c '
    for f; do if zcat "$f" 2>/dev/null | grep -qaF -- "$0"; then echo "$f (inside)"; fi; done' "$VALUE" {} +
}
nowhere() {
  local found
  found=$(traces "$ROOT" "$W/out" "$W/cwd" "$W/buildkitd.log")
  [ -z "$found" ] || fail "$1: the value is in: $found"
}
# A step's own cores are as they would be without us.
filter_of_steps() {
  dockerfile <<'D'
FROM base
RUN echo filter $(cat /proc/self/coredump_filter)
D
  build --no-cache >"$W/log" 2>&1
  has "$W/log" "filter $(cat /proc/self/coredump_filter)"
}
running() { grep -qF "started" "$1"; }

start
# The search finds what is there.
printf %s "$VALUE" | gzip >"$W/out/sha256-probe"
[ -n "$(traces "$W/out")" ] || fail "the search finds nothing"
rm "$W/out/sha256-probe"

with_secret --opt build-arg:STEP=true --output "type=oci,dest=$W/out/image.tar" \
  --export-cache "type=local,dest=$W/out/cache,mode=max" >"$W/log" 2>&1
mkdir "$W/out/image" && tar -xf "$W/out/image.tar" -C "$W/out/image"
nowhere "after a build"
! with_secret --opt build-arg:STEP="exit 7" >"$W/log" 2>&1
has "$W/log" "exit code: 7"
nowhere "after a failed build"

slow() {  # a build in the middle of its step
  with_secret --opt build-arg:STEP="echo started; sleep 1000" >"$W/log-$1" 2>&1 &
  client=$!
  wait_for 30 running "$W/log-$1" || { cat "$W/log-$1"; fail "the step does not start"; }
}
slow client
pkill -KILL -P $client  # the function's shell runs the program
wait $client 2>/dev/null || true
wait_for 20 clean || fail "the step goes on: $(leftovers)"
nowhere "after a client was killed"

slow daemon
nowhere "while a step runs"
daemon_kill9
wait $client 2>/dev/null || true
nowhere "after the daemon was killed"
start
with_secret --opt build-arg:STEP=true >"$W/log" 2>&1
nowhere "after the next start"

if [ -n "$cores" ]; then
  slow core
  kill -SEGV "$daemon_pid"
  wait "$daemon_pid" 2>/dev/null || true
  wait $client 2>/dev/null || true
  ls "$W/cwd"/core* >/dev/null 2>&1 || fail "no core was written: $(ls "$W/cwd")"
  nowhere "after a crash"
  start
else
  echo "cores go elsewhere on this machine: $(cat /proc/sys/kernel/core_pattern)"
fi
nowhere "in the end"
filter_of_steps
