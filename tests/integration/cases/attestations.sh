# Provenance in an image and beside files, and the history that keeps both until deleted.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
ARG WHO=nobody
RUN echo "hello $WHO" > /hello
FROM scratch
COPY --from=0 /hello /hello
D
daemon_start
build --opt attest:provenance=mode=max --opt build-arg:WHO=world --ref-file "$W/ref" \
  --output type=oci,tar=false,dest="$W/image" 2>"$W/log" || { cat "$W/log" >&2; fail "build"; }
python3 - "$W/image" <<'PY'
import json, os, sys
root = sys.argv[1]
def blob(desc):
    return json.load(open(os.path.join(root, "blobs", *desc["digest"].split(":"))))
index = blob(json.load(open(os.path.join(root, "index.json")))["manifests"][0])
image, about = index["manifests"]
assert about["platform"] == {"architecture": "unknown", "os": "unknown"}, about
assert about["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
assert about["annotations"]["vnd.docker.reference.digest"] == image["digest"]
manifest = blob(about)
assert manifest["subject"]["digest"] == image["digest"], manifest
statement = blob(manifest["layers"][0])
assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
definition = statement["predicate"]["buildDefinition"]
assert definition["externalParameters"]["request"]["args"]["build-arg:WHO"] == "world"
steps = definition["internalParameters"]["buildConfig"]["llbDefinition"]
assert any("exec" in step["op"]["Op"] for step in steps), steps
assert any("digest=sha256:" in m["uri"] for m in definition["resolvedDependencies"]), definition
PY
build --opt attest:provenance=mode=min --opt build-arg:WHO=world \
  --output type=local,dest="$W/files",attestation-prefix=about- 2>"$W/log" || fail "local output"
[ "$(cat "$W/files/hello")" = "hello world" ] || fail "the file beside the statement"
has "$W/files/about-provenance.json" '"name": "hello"'
has_not "$W/files/about-provenance.json" 'build-arg:WHO'

ref=$(cat "$W/ref")
ref=${ref##*/}
"$BUILDCTL" debug histories >"$W/histories"
has "$W/histories" "$ref"
"$BUILDCTL" debug logs "$ref" >"$W/logs" 2>&1
has "$W/logs" 'RUN echo "hello world" > /hello'
"$BUILDCTL" debug logs nosuchbuild >"$W/logs" 2>&1 && fail "logs of no build"
"$BUILDCTL" prune-histories >/dev/null
"$BUILDCTL" prune --all >/dev/null
[ -z "$(stored_blobs)" ] || fail "blobs stay after the history is gone"
