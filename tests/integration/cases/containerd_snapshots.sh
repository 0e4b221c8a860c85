# The containerd worker's trees are snapshots of containerd, in any of its snapshotters: its
# collector takes none that is in use and all that were pruned, whether the daemon ended in
# order or not.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
containerd_start
dockerfile <<'D'
FROM base AS one
ARG N=1
RUN --mount=type=cache,target=/c echo kept >/c/kept; echo one $N >/one
RUN mkdir /d && echo a >/d/a
FROM base AS two
COPY two /two
RUN cat /two >/again
FROM one
COPY --from=two /again /two
RUN --mount=type=cache,target=/c rm /one && cat /c/kept >/three
D
echo two >"$W/ctx/two"
S=
snapshots() { ctd snapshots --snapshotter "$S" ls | tail -n +2; }
none() { [ -z "$(snapshots)" ]; }
# Folders of the snapshotter itself.
folders() { ls "$W/ctd-root/io.containerd.snapshotter.v1.$S/snapshots"; }
no_folders() { [ -z "$(folders)" ]; }
collect() { ctd content prune references >/dev/null; }
check() {  # check STEPS: builds, all but the first of the steps are cached
  rm -rf "$W/out"
  build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "$S: the build"; }
  [ "$(cat "$W/out/two")-$(cat "$W/out/three")-$(cat "$W/out/d/a")" = two-kept-a ] || fail "$S: another tree"
  [ ! -e "$W/out/one" ] || fail "$S: a removed file is back"
  [ "$(cached "$W/log")" -ge "$1" ] || { cat "$W/log" >&2; fail "$S: $(cached "$W/log") steps are cached, not $1"; }
}
free_all() {
  "$BUILDCTL" prune --all >/dev/null
  "$BUILDCTL" prune-histories >/dev/null
  wait_for 10 none || { snapshots >&2; fail "$S: snapshots are left"; }
  wait_for 10 no_folders || { folders >&2; fail "$S: folders are left"; }
}

for S in overlayfs native; do
  daemon_start_containerd --containerd-worker-snapshotter=$S
  check 0
  [ "$(snapshots | grep -c Committed)" -ge 5 ] || { snapshots >&2; fail "$S: the trees are not in containerd"; }
  [ "$(snapshots | awk 'NF > 2' | wc -l)" -ge 4 ] || { snapshots >&2; fail "$S: no tree lies on another"; }
  [ -z "$(find "$ROOT" -name kept -o -name again)" ] || fail "$S: trees are under the daemon's root"
  [ -n "$(ctd leases ls -q)" ] || fail "$S: no lease"

  # Its collector takes nothing of it, while the daemon is there and while it is not.
  collect
  check 6
  daemon_stop
  collect
  containerd_end TERM
  containerd_start
  daemon_start_containerd --containerd-worker-snapshotter=$S
  check 6
  free_all

  # The daemon ends anywhere.
  for round in 1 2 3; do
    build --no-cache --opt build-arg:N=$round >"$W/log1" 2>&1 &
    build_pid=$!
    sleep "0.$((RANDOM % 9))"
    daemon_kill9
    wait "$build_pid" 2>/dev/null || true
    [ $round = 2 ] || collect
    daemon_start_containerd --containerd-worker-snapshotter=$S
    check 0
  done
  free_all
  daemon_stop
done
