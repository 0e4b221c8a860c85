# The client's disk is full: an error, no hang, and the daemon goes on.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN head -c 8000000 /dev/urandom > /big
D
daemon_start
mkdir "$W/small"
mount -t tmpfs -o size=1m tmpfs "$W/small"

timeout 60 "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" \
  --local dockerfile="$W/ctx" --oci-layout base="$BASE" \
  --opt context:base="oci-layout://base@$BASE_DIGEST" --output type=oci,dest="$W/small/out.tar" \
  2>"$W/log" && fail "the export succeeded on a full disk"
has "$W/log" 'no space left on device'
build --output type=oci,dest="$W/out.tar" 2>"$W/log2" || { cat "$W/log2" >&2; fail "not healthy afterwards"; }
umount "$W/small"
