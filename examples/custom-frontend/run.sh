#!/usr/bin/env bash
# Packs the frontend into an image and builds `cake` with it, in two ways. See README.md.
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
digest() { python3 -c "import json,sys; print(json.load(open(sys.argv[1]))['containerimage.digest'])" "$1"; }

# A base image, made on this machine out of busybox; no registry is asked.
base=$("$top/tools/busybox-image" "$work/base")

export BUILDKIT_HOST=unix://$work/buildkitd.sock
"$bin/buildkitd" --root "$work/root" --addr "$BUILDKIT_HOST" --oci-worker-net=host 2>"$work/log" &
daemon=$!
for _ in $(seq 200); do
  "$bin/buildctl" debug workers >/dev/null 2>&1 && break
  kill -0 "$daemon" || { cat "$work/log" >&2; exit 1; }
  sleep 0.05
done

# The image of the frontend: the program, its libraries where the loader looks for them.
mkdir -p "$work/image"
cp "$bin/recipe-frontend" "$work/image/recipe-frontend"
ldd "$bin/recipe-frontend" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$work/image$(dirname "$library")"
  cp -L "$library" "$work/image$library"
done
"$bin/buildctl" build --frontend dockerfile.v0 --local context="$work/image" --local dockerfile=. \
  --output type=oci,tar=false,dest="$work/frontend" --metadata-file "$work/frontend.json"
frontend=$(digest "$work/frontend.json")

# bake HOW [ARGS…]: builds the recipe into a folder and an image, and looks at both.
bake() {
  local how=$1
  shift
  "$bin/buildctl" build "$@" --opt filename=Recipe --local context=cake --local dockerfile=cake \
    --oci-layout base="$work/base" --opt context:base="oci-layout://base@$base" \
    --oci-layout recipe="$work/frontend" \
    --opt context:kiln.example/recipe:1="oci-layout://recipe@$frontend" \
    --output type=oci,name=cake:latest,dest="$work/$how.tar" \
    --output type=local,dest="$work/$how" --progress=rawjson 2>"$work/$how.log" || { cat "$work/$how.log" >&2; exit 1; }
  cmp "$work/$how/greeting" expected.txt
  # The frontend's warning, with the line that it is about.
  python3 - "$work/$how.log" <<'PY'
import base64, json, sys
warnings = [w for line in open(sys.argv[1]) if line.startswith("{") for w in json.loads(line).get("warnings") or []]
assert len(warnings) == 1, warnings
assert base64.b64decode(warnings[0]["short"]) == b"only the last cmd counts", warnings
assert warnings[0]["range"][0]["start"]["line"] == 8, warnings
assert warnings[0]["sourceInfo"]["filename"] == "Recipe", warnings
PY
}

# By name: `gateway.v0` runs the image that `source` names.
bake named --frontend gateway.v0 --opt source=kiln.example/recipe:1
# By its first line: the Dockerfile frontend sees `# syntax=` and passes the build on.
bake syntax --frontend dockerfile.v0

# The image runs with the environment and the command of the recipe.
mkdir "$work/layout"
tar -xf "$work/named.tar" -C "$work/layout"
umoci unpack --image "$work/layout:latest" "$work/bundle" >/dev/null 2>&1
sed -i 's/"terminal": true/"terminal": false/' "$work/bundle/config.json"
grep -q CAKE=chocolate "$work/bundle/config.json"
grep -q ICING=lemon "$work/bundle/config.json"
runc --root "$work/runc" run --bundle "$work/bundle" kiln-cake </dev/null | tee "$work/said"
cmp "$work/said" expected.txt

# burn: the recipe in $work/burnt fails; what is said of it is in $work/burnt.log.
mkdir "$work/burnt"
burn() {
  ! "$bin/buildctl" --debug build --frontend gateway.v0 --opt source=kiln.example/recipe:1 \
    --opt filename=Recipe --local context="$work/burnt" --local dockerfile="$work/burnt" \
    --oci-layout base="$work/base" --opt context:base="oci-layout://base@$base" \
    --oci-layout recipe="$work/frontend" \
    --opt context:kiln.example/recipe:1="oci-layout://recipe@$frontend" >"$work/burnt.log" 2>&1
}
burnt() { grep -qF -- "$1" "$work/burnt.log" || { cat "$work/burnt.log" >&2; echo "no: $1" >&2; exit 1; }; }

# A mistake comes back through the daemon with the line that it is in.
printf 'from base\nfry it\n' >"$work/burnt/Recipe"
burn
burnt 'recipe error on line 2: unknown word fry'
burnt '>>> fry it'
# The frontend, the daemon and the client each say where they were.
burnt ' /recipe-frontend'
burnt "buildkitd --root $work/root"
burnt "buildctl --debug build"
# So does a mistake in a recipe that another one goes on with, and a step of that one.
printf 'from base\nthen Second\n' >"$work/burnt/Recipe"
printf 'from so-far\nrun true\nadd x\n' >"$work/burnt/Second"
burn
burnt 'recipe error on line 3: add needs a source and a destination'
burnt '>>> add x'
printf 'from so-far\nrun exit 5\n' >"$work/burnt/Second"
burn
burnt 'process "/bin/sh -c exit 5" did not complete successfully: exit code: 5'
burnt '>>> run exit 5'
