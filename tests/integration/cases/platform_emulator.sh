# A RUN step of arm64 through the emulator beside the daemon, where the kernel has none;
# and platforms that are configured rather than found.
. "$(dirname "$0")/../lib.sh"
foreign=${KILN_FOREIGN_BUSYBOX:-/usr/local/lib/kiln-tests/busybox-arm64}
[ -x "$foreign" ] || skip "no arm64 busybox at $foreign (tools/fetch-foreign-busybox)"
qemu=$(command -v qemu-aarch64-static) || skip "qemu-aarch64-static is not installed"
[ "$(uname -m)" != aarch64 ] || skip "arm64 is not foreign here"
! "$foreign" true 2>/dev/null || skip "the kernel already runs arm64 programs"
mkdir "$W/bin"
ln -s "$qemu" "$W/bin/buildkit-qemu-aarch64"
ARM=$W/arm
ARM_DIGEST=$("$TOP/tools/busybox-image" "$ARM" arm64 "$foreign")
# Only what busybox does by itself: the emulator does not follow into other programs.
dockerfile <<'D'
FROM base
ARG TARGETARCH
RUN uname -m >/machine && echo $TARGETARCH >>/machine
RUN ["/bin/busybox", "cp", "/machine", "/copy"]
RUN echo done >/done
D
arm_build() {
  "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" \
    --opt platform=linux/arm64 --oci-layout base="$ARM" --opt context:base="oci-layout://base@$ARM_DIGEST" "$@"
}
check() {
  rm -rf "$W/out"
  arm_build --no-cache --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the build"; }
  [ "$(cat "$W/out/machine")" = "$(printf 'aarch64\narm64')" ] || fail "not run as arm64: $(cat "$W/out/machine")"
  cmp "$W/out/machine" "$W/out/copy"
  # The emulator is a mount of the step and no part of the image.
  [ ! -e "$W/out/dev/.buildkit_qemu_emulator" ] || fail "the emulator is in the image"
}

PATH=$W/bin:$PATH daemon_start
has_not "$W/workers" linux/arm64
check
arm_build --output "type=oci,dest=$W/out.tar" 2>"$W/log"
mkdir "$W/layout"
tar -xf "$W/out.tar" -C "$W/layout"
has "$W/layout/index.json" '"architecture":"arm64"'
daemon_stop

# Configured: shown as the worker's, and emulated all the same.
PATH=$W/bin:$PATH daemon_start --oci-worker-platform linux/arm64
grep -q '[[:space:]]linux/arm64,' "$W/workers" || fail "the configured platform is not the first"
has "$W/workers" linux/amd64
check
daemon_stop

# Without any emulator the step fails as the kernel says.
daemon_start
! arm_build --no-cache 2>"$W/log" || fail "arm64 runs without an emulator"
has "$W/log" "exec format error"
