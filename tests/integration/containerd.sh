# Sourced by cases of the containerd worker after lib.sh: a containerd of the case's own.
[ "$WORKER" = oci ] || skip "the case has a containerd of its own in any case"
for program in containerd ctr; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
CTD=$W/containerd.sock
containerd_pid=
# The steps' trees are overlays, which cannot lie on another overlay.
mount -t tmpfs -o mode=755 kiln "$W" 2>/dev/null || skip "no mounts can be made here"
BASE_DIGEST=$("$TOP/tools/busybox-image" "$BASE")
# KILN_CONTAINERD_FS=ext4: its data lies on another file system than the daemon's root.
if [ -n "${KILN_CONTAINERD_FS:-}" ]; then
  mkdir "$W/ctd-root"
  truncate -s 1G "$W/ctd.img"
  "mkfs.$KILN_CONTAINERD_FS" -q "$W/ctd.img" >"$W/log"
  mount -o loop "$W/ctd.img" "$W/ctd-root" || skip "no file can be mounted here"
fi
cat >"$W/containerd.toml" <<T
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
root = "$W/ctd-root"
state = "$W/ctd-state"
[grpc]
  address = "$CTD"
T
ctd() { ctr -a "$CTD" -n buildkit "$@"; }
containerd_start() {
  containerd --config "$W/containerd.toml" >>"$W/containerd.log" 2>&1 &
  containerd_pid=$!
  extra_pids="$extra_pids $containerd_pid"
  wait_for 20 ctr -a "$CTD" version >/dev/null 2>&1 || { tail "$W/containerd.log" >&2; fail "containerd does not answer"; }
}
containerd_end() {  # containerd_end SIGNAL
  kill "-$1" "$containerd_pid"
  wait "$containerd_pid" 2>/dev/null || true
}
use_containerd() {  # for each daemon_start from here on
  WORKER=containerd
  worker_flags=(--oci-worker=false --containerd-worker=true --containerd-worker-addr "$CTD"
    --otel-socket-path "$W/otel.sock")
}
daemon_start_containerd() {
  use_containerd
  daemon_start "$@"
}
no_containers() { [ -z "$(ctd containers ls -q)" ] && [ -z "$(ctd tasks ls -q)" ]; }
no_shims() { ! pgrep -f -- "containerd-shim.* -address $CTD" >/dev/null; }
