# The OCI worker's trees in a snapshotter behind a socket. Containerd plays it: to us it is no
# more than that here, with a collector that must not take what it knows no lease of.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
! "$BUILDKITD" --root "$ROOT" --addr "$BUILDKIT_HOST" --oci-worker=true --containerd-worker=false \
  --oci-worker-snapshotter mine --oci-worker-proxy-snapshotter-path "$W/none.sock" 2>"$W/log" || fail "it starts without a socket"
has "$W/log" "snapshotter doesn't exist on \"$W/none.sock\" (Do not include 'unix://' prefix)"
has "$W/log" "stat $W/none.sock: no such file or directory"

containerd_start
dockerfile <<'D'
FROM base AS one
ARG N=1
RUN mkdir /d && echo a$N >/d/a && touch /gone
RUN rm /gone
FROM base AS two
COPY two /new/two
FROM one
COPY --from=two /new /new
RUN cat /new/two /d/a >/both
D
echo two >"$W/ctx/two"
S=
snapshots() { ctd snapshots --snapshotter "$S" ls | tail -n +2 | grep -v '^other' || true; }
none() { [ -z "$(snapshots)" ]; }
start() { daemon_start --oci-worker-snapshotter "$S" --oci-worker-proxy-snapshotter-path "$CTD"; }
check() {  # check STEPS: builds, this many at least are cached
  rm -rf "$W/out"
  build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "$S: the build"; }
  [ "$(cat "$W/out/both")" = "$(printf 'two\na1')" ] && [ ! -e "$W/out/gone" ] || fail "$S: another tree"
  [ "$(cached "$W/log")" -ge "$1" ] || { cat "$W/log" >&2; fail "$S: $(cached "$W/log") steps are cached, not $1"; }
}
for S in overlayfs native; do
  ctd snapshots --snapshotter "$S" prepare other >"$W/other"
  start
  check 0
  "$BUILDCTL" debug workers -v >"$W/workers"
  for fact in "snapshotter:$S" executor:oci; do
    tr -d '\t ' <"$W/workers" | grep -qx "org.mobyproject.buildkit.worker.$fact" || { cat "$W/workers" >&2; fail "$S: not $fact"; }
  done
  [ "$(snapshots | grep -c Committed)" -ge 4 ] || { snapshots >&2; fail "$S: the trees are not there"; }
  [ -z "$(find "$ROOT" -xdev -name both -o -name two)" ] || fail "$S: trees are under the daemon's root"
  ctd content prune references >/dev/null
  check 4
  # Who is there again, finds what was there: the daemon, the snapshotter, both after a kill.
  daemon_stop
  containerd_end TERM && containerd_start
  start
  check 4
  build --no-cache --opt build-arg:N=2 >"$W/log1" 2>&1 &
  build_pid=$!
  wait_for 20 grep -q 'RUN mkdir' "$W/log1" || fail "$S: no step begins"
  daemon_kill9
  wait "$build_pid" 2>/dev/null || true
  containerd_end KILL && containerd_start
  start
  check 4
  "$BUILDCTL" prune --all >/dev/null
  wait_for 10 none || { snapshots >&2; fail "$S: snapshots are left"; }
  ctd snapshots --snapshotter "$S" ls | grep -q '^other' || fail "$S: a snapshot of somebody else is gone"
  daemon_stop
done
