#!/usr/bin/env bash
# Builds this folder's Dockerfile and runs the image. See README.md.
set -euo pipefail
cd "$(dirname "$0")"
top=$(cd ../.. && pwd)
bin=${KILN_BIN:-$top/build/release/bin}
work=$(mktemp -d)
daemon=
cleanup() {
  [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# A base image, made on this machine out of busybox; no registry is asked.
base=$("$top/tools/busybox-image" "$work/base")

# The daemon: its state under --root, its socket at --addr.
export BUILDKIT_HOST=unix://$work/buildkitd.sock
"$bin/buildkitd" --root "$work/root" --addr "$BUILDKIT_HOST" --oci-worker-net=host 2>"$work/log" &
daemon=$!
for _ in $(seq 200); do
  "$bin/buildctl" debug workers >/dev/null 2>&1 && break
  kill -0 "$daemon" || { cat "$work/log" >&2; exit 1; }
  sleep 0.05
done

# The build. `FROM base` is answered by the named context of that name.
"$bin/buildctl" build --frontend dockerfile.v0 --local context=. --local dockerfile=. \
  --oci-layout base="$work/base" --opt context:base="oci-layout://base@$base" \
  --output type=oci,name=hello:latest,dest="$work/hello.tar"

# The image, run with runc.
mkdir "$work/layout"
tar -xf "$work/hello.tar" -C "$work/layout"
umoci unpack --image "$work/layout:latest" "$work/bundle" >/dev/null 2>&1
sed -i 's/"terminal": true/"terminal": false/' "$work/bundle/config.json"
runc --root "$work/runc" run --bundle "$work/bundle" kiln-hello </dev/null | tee "$work/said"
cmp "$work/said" expected.txt
