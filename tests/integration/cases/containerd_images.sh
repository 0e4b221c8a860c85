# The image store of containerd: built images are there, unpacked if asked for, and run; what
# is only there can be built from; and what only passed through a push is not pulled.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
containerd_start
registry_start
daemon_start_containerd
dockerfile <<'D'
FROM base
RUN echo from the store >/said
CMD ["/bin/cat", "/said"]
D
build --output "type=image,name=example.com/kiln/plain:1" 2>"$W/log"
build --output "type=image,name=example.com/kiln/ready:1,unpack=true" 2>"$W/log"
ctd images ls -q >"$W/images"
has "$W/images" example.com/kiln/plain:1
ctd snapshots ls >"$W/snapshots"
has "$W/snapshots" Committed

# It survives containerd's own collection, and runs.
ctd content prune references >/dev/null 2>&1 || true
[ "$(ctd run --rm example.com/kiln/ready:1 "kiln-run-$$")" = "from the store" ] || fail "the image does not run"

# No registry has it: the store answers, unless only the registry is to be asked.
from() { "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/from" --local dockerfile="$W/from" "$@"; }
mkdir "$W/from"
printf 'FROM %s/kiln/here:1\nRUN cat /said >/again\n' "$REG" >"$W/from/Dockerfile"
build --output "type=image,name=$REG/kiln/here:1" 2>"$W/log"
"$BUILDCTL" prune --all >/dev/null
from --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "FROM an image of the store"; }
has "$W/out/again" "from the store"
! from --no-cache --opt image-resolve-mode=pull 2>"$W/log" || fail "the store answers although only the registry should"
has "$W/log" "not found"

# A push of what a registry has already moves no bytes, and none of it comes here.
build --output "type=image,name=$REG/kiln/one:1,push=true" 2>"$W/log"
ctd images ls -q | xargs -r ctr -a "$CTD" -n buildkit images rm --sync >/dev/null
"$BUILDCTL" prune --all >/dev/null
printf 'FROM %s/kiln/one:1\n' "$REG" >"$W/from/Dockerfile"
: >"$W/registry.log"
from --output "type=image,name=$REG/kiln/two:1,push=true,unsafe-internal-store-allow-incomplete=true" 2>"$W/log" ||
  { cat "$W/log" >&2; fail "the push from one repository to another"; }
skopeo inspect --tls-verify=false "docker://$REG/kiln/two:1" >"$W/inspect"
layer=$(python3 -c "import json; print(json.load(open('$W/inspect'))['Layers'][0])")
has "$W/registry.log" "uploads/?mount="
has_not "$W/registry.log" "\"GET /v2/kiln/one/blobs/$layer"
ctd content ls -q >"$W/content"
has_not "$W/content" "$layer"
