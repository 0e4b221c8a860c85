# A RUN step of arm64 through binfmt_misc. The interpreter is registered in a user namespace
# of this case's own, which has its own binfmt_misc since Linux 6.7; older kernels are taken
# as they are.
. "$(dirname "$0")/../lib.sh"
foreign=${KILN_FOREIGN_BUSYBOX:-/usr/local/lib/kiln-tests/busybox-arm64}
[ -x "$foreign" ] || skip "no arm64 busybox at $foreign (tools/fetch-foreign-busybox)"
[ "$(uname -m)" != aarch64 ] || skip "arm64 is not foreign here"
if [ "${1:-}" != inside ] && ! "$foreign" true 2>/dev/null; then
  [ -f /usr/lib/binfmt.d/qemu-aarch64.conf ] || skip "qemu-user-static is not installed"
  mkfifo "$W/go"
  unshare --user --mount --pid --fork --kill-child bash -c 'read -r _ <"$0" && exec bash "$1" inside' "$W/go" "$0" &
  child=$!
  other_namespace() { [ "$(readlink "/proc/$child/ns/user")" != "$(readlink /proc/self/ns/user)" ]; }
  wait_for 5 other_namespace || skip "no user namespaces can be made here"
  echo "0 0 65536" >"/proc/$child/uid_map"
  echo "0 0 65536" >"/proc/$child/gid_map"
  echo go >"$W/go"
  status=0
  wait "$child" || status=$?
  [ $status != 77 ] || skip "see above"
  [ $status = 0 ] || fail "in the user namespace"
  exit 0
fi
if [ "${1:-}" = inside ]; then
  mount -t proc proc /proc
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null ||
    skip "no binfmt_misc in user namespaces (Linux 6.7), and the machine's own runs no arm64 programs"
  cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
fi
ARM=$W/arm
ARM_DIGEST=$("$TOP/tools/busybox-image" "$ARM" arm64 "$foreign")
dockerfile <<'D'
FROM base
RUN uname -m >/machine && /bin/busybox sh -c "exec /bin/busybox uname -m" >>/machine
D
arm_build() {
  "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" \
    --opt platform=linux/arm64 --oci-layout base="$ARM" --opt context:base="oci-layout://base@$ARM_DIGEST" "$@"
}
daemon_start --otel-socket-path "$W/otel.sock"
has "$W/workers" linux/arm64
arm_build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the build"; }
[ "$(cat "$W/out/machine")" = "$(printf 'aarch64\naarch64')" ] || fail "not run as arm64"
