# The daemon of an ordinary user under RootlessKit: defaults, both kinds of process sandbox,
# each snapshotter, the containerd worker, and a self-test that names what is missing. The user exists only in a
# mount namespace of this case.
. "$(dirname "$0")/../lib.sh"
for program in rootlesskit newuidmap newgidmap setpriv; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
if [ "${1:-}" != inside ]; then
  unshare --mount true 2>/dev/null || skip "no mount namespaces can be made here"
  trap - EXIT
  rm -rf "$W"
  exec unshare --mount --propagation private bash "$0" inside
fi

UID_OF=54321
cp -a /etc "$W/etc"
echo "kilnuser:x:$UID_OF:$UID_OF::$W/home:/bin/sh" >>"$W/etc/passwd"
echo "kilnuser:x:$UID_OF:" >>"$W/etc/group"
for file in subuid subgid; do echo "kilnuser:3000000:65536" >"$W/etc/$file"; done
mount --bind "$W/etc" /etc
# Some machines keep it to root.
if [ -c /dev/fuse ]; then
  mknod -m 666 "$W/fuse" c 10 229
  mount --bind "$W/fuse" /dev/fuse
fi
chmod 755 "$W"
mkdir "$W/home" "$W/run"
chown $UID_OF:$UID_OF "$W/home" "$W/run"
cd "$W"
as_user=(setpriv --reuid $UID_OF --regid $UID_OF --clear-groups env -i PATH="$PATH" USER=kilnuser
  HOME="$W/home" XDG_RUNTIME_DIR="$W/run")
# Programs may lie where only root may look.
cp "$BUILDKITD" "$BUILDCTL" "$W/"
chmod 755 "$W/buildkitd" "$W/buildctl"

"${as_user[@]}" rootlesskit true 2>"$W/kit.log" || { cat "$W/kit.log" >&2; skip "rootlesskit makes no namespace here: $(tail -1 "$W/kit.log")"; }

# Without a namespace: the reference's words, and what the user lacks.
: >/etc/subuid
! "${as_user[@]}" "$W/buildkitd" 2>"$W/plain.log" || fail "the daemon runs without a namespace"
has "$W/plain.log" "rootless mode requires to be executed as the mapped root in a user namespace"
has "$W/plain.log" "rootless self-test: /etc/subuid has no range for user kilnuser"
has_not "$W/plain.log" "/etc/subgid"
echo "kilnuser:3000000:65536" >/etc/subuid

# A namespace of one id is told from a whole one, and its limits are named by the kernel's names.
"${as_user[@]}" unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_pid_namespaces
  exec timeout 5 "$0" --root "$1" --oci-worker-binary nonesuch' "$W/buildkitd" "$W/home/one" 2>"$W/one.log" || true
has "$W/one.log" "rootless self-test: only 1 user id is mapped"
has "$W/one.log" "rootless self-test: user.max_pid_namespaces is 0"
has "$W/one.log" "rootless self-test: a procfs in a new PID namespace"

SOCK=$W/run/buildkit/buildkitd.sock
export BUILDKIT_HOST=unix://$SOCK
ROOT=$W/home/.local/share/buildkit
user_daemon() {
  "${as_user[@]}" rootlesskit "$W/buildkitd" "$@" >>"$W/buildkitd.log" 2>&1 &
  daemon_pid=$!
  wait_for 20 "$BUILDCTL" debug workers -v >"$W/workers" 2>/dev/null ||
    { cat "$W/buildkitd.log" >&2; fail "the daemon does not answer at the user's address"; }
}
stop_daemon() {
  daemon_stop
  wait_for 10 bash -c "! pgrep -u $UID_OF >/dev/null" || { pgrep -u $UID_OF -a >&2; fail "processes of the user are left"; }
}

dockerfile <<'D'
FROM base AS made
RUN id -u >/who && echo pid $$ >/pid && touch /tmp/a && chown 2000:3000 /tmp/a && stat -c %u:%g /tmp/a >/owner
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t echo x >/cache/x && echo y >/t/y
RUN chown builder:extra /home/builder
RUN --mount=type=bind,from=base,target=/b,ro ! touch /b/x 2>/dev/null && cat /etc/resolv.conf >/dev/null
USER builder
RUN id -u >/tmp/builder && echo mine >/home/builder/file
USER root
RUN rm -rf /home/builder && mkdir /home/builder && cat /proc/self/status >/dev/null
FROM base AS reader
# A tree of several layers as it is, and a part of it.
RUN --mount=type=bind,from=made,target=/m --mount=type=bind,from=made,source=/home,target=/h \
  cat /m/who >/read && ls /h/builder
FROM scratch
COPY --from=reader /read /
COPY --from=made /who /pid /owner /tmp/builder /
D
check() {  # check ARGS…: a build by a daemon with these flags
  user_daemon "$@"
  rm -rf "$W/out"
  build --no-cache --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "a build with $*"; }
  [ "$(cat "$W/out/who" "$W/out/owner" "$W/out/builder")" = "$(printf '0\n2000:3000\n1000')" ] || fail "users in a step"
}

check
has "$W/workers" "oci.process-mode:"
grep -qE 'process-mode:\s+sandbox' "$W/workers" || fail "no sandbox"
grep -qE 'network:\s+host' "$W/workers" || fail "network"
[ "$(cat "$W/out/pid")" = "pid 1" ] || fail "the step is not the first of its PID namespace"
[ "$(stat -c %u "$SOCK")" = $UID_OF ] || fail "the socket is not the user's"
[ "$(stat -c %a "$W/run/buildkit")" = 1700 ] || fail "mode of the runtime folder"
has_not "$W/buildkitd.log" "rootless self-test"
build --output "type=oci,dest=$W/out.tar" 2>"$W/log2"
[ "$(cached "$W/log2")" -ge 5 ] || fail "nothing is cached"
stop_daemon

check --oci-worker-no-process-sandbox
grep -qE 'process-mode:\s+no-sandbox' "$W/workers" || fail "a sandbox in spite of the flag"
[ "$(cat "$W/out/pid")" != "pid 1" ] || fail "the step has a PID namespace"
stop_daemon

rm -rf "$ROOT"
check --oci-worker-snapshotter=native
grep -qE 'snapshotter:\s+native' "$W/workers" || fail "another snapshotter"
stop_daemon
if command -v fuse-overlayfs >/dev/null && "${as_user[@]}" test -w /dev/fuse; then
  rm -rf "$ROOT"
  check --oci-worker-snapshotter=fuse-overlayfs
  grep -qE 'snapshotter:\s+fuse-overlayfs' "$W/workers" || fail "another snapshotter"
  stop_daemon
else
  echo "fuse-overlayfs was not tried: it is not installed, or /dev/fuse is closed to the user"
fi

# Steps, trees and blobs in a containerd of the same user, in the same namespaces.
if command -v containerd >/dev/null && command -v ctr >/dev/null; then
  CTD=$W/run/containerd.sock
  cat >"$W/containerd.toml" <<T
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
root = "$W/home/containerd"
state = "$W/run/containerd"
[grpc]
  address = "$CTD"
T
  cat >"$W/both" <<S
#!/bin/sh
mount -t tmpfs none /run  # the shims' sockets
containerd --config $W/containerd.toml 2>>$W/run/containerd.log &
for i in \$(seq 100); do ctr -a $CTD version >/dev/null 2>&1 && break; sleep 0.2; done
$W/buildkitd --oci-worker=false --containerd-worker=true --containerd-worker-addr $CTD "\$@"
S
  chmod 755 "$W/both"
  user_daemon() {
    "${as_user[@]}" rootlesskit --pidns --copy-up=/run "$W/both" "$@" >>"$W/buildkitd.log" 2>&1 &
    daemon_pid=$!
    wait_for 30 "$BUILDCTL" debug workers -v >"$W/workers" 2>/dev/null ||
      { cat "$W/buildkitd.log" "$W/run/containerd.log" >&2; fail "the daemon does not answer with containerd"; }
  }
  for snapshotter in overlayfs native; do
    rm -rf "$ROOT"
    check --containerd-worker-snapshotter=$snapshotter
    grep -qE 'worker.executor:\s+containerd' "$W/workers" || fail "another worker"
    grep -qE "snapshotter:\s+$snapshotter" "$W/workers" || fail "another snapshotter"
    [ -n "$(ls "$W/home/containerd/io.containerd.snapshotter.v1.$snapshotter/snapshots")" ] || fail "the trees are elsewhere"
    stop_daemon
  done
else
  echo "the containerd worker was not tried: containerd is not installed"
fi
