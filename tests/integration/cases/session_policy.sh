# A client that decides on the sources of its build, and looks closer before it does:
# at what attests an image, and who has signed that.
. "$(dirname "$0")/../lib.sh"
PEER=${SESSION_PEER:-$(dirname "$BUILDCTL")/session-peer}
[ -x "$PEER" ] || skip "no session-peer at $PEER"
registry_start
daemon_start
# attested NAME: an image with an attestation, in the registry; sets IMAGE.
attested() {
  IMAGE=$REG/kiln/$1:1
  dockerfile <<D
FROM base
RUN echo $1 >/attested
D
  build --opt attest:provenance=mode=min \
    --output "type=image,name=$IMAGE,push=true,registry.insecure=true" 2>"$W/log" || { cat "$W/log"; fail "the image"; }
}
attested plain

# asked STATUS ANSWER…: a build of the image; what came of it is in $W/said.
asked() {
  local status=$1
  shift
  timeout 60 "$PEER" policy "$BUILDKIT_HOST" "${OF:-$IMAGE}" "$@" >"$W/said" 2>&1 && [ "$status" = 0 ] ||
    [ "$status" != 0 ] || { cat "$W/said"; fail "a build that is answered: $*"; }
}
said() { has "$W/said" "$1"; }
questions() { count "$W/said" "asked docker-image://"; }

asked 0 allow
said "asked docker-image://$IMAGE for linux/"
said "solve: done"
[ "$(questions)" = 1 ] || fail "asked $(questions) times about one source"
asked 1 "deny not on a sunday"
said "source \"docker-image://$IMAGE\" not allowed by policy: action DENY"
asked 1 nothing
said "no decision in policy response"
asked 1 "other docker.io/library/another:1"
said "policy requested different source identifier"
asked 1 # the client fails
said "no more answers"
# There is no such image; with another in its place there is.
OF=$REG/kiln/absent:1 asked 0 "convert $IMAGE" allow
said "asked docker-image://$REG/kiln/absent:1"
said "asked docker-image://$IMAGE"
said "solve: done"
OF=$REG/kiln/absent:1 asked 1 "convert $IMAGE" "deny nor this"
said "source \"docker-image://$IMAGE\" not allowed by policy"
# One that never decides, nor gets tired.
looks=()
for _ in $(seq 50); do looks+=(look); done
asked 1 "${looks[@]}"
said "too many policy requests"

# What the registry has, by another program: the index, its image and what attests it.
documents() { # sets INDEX, MANIFEST, ATTESTATION, ATTESTATION_SIZE, STATEMENT
  skopeo inspect --raw --tls-verify=false "docker://$IMAGE" >"$W/index.json"
  read -r INDEX MANIFEST ATTESTATION ATTESTATION_SIZE < <(python3 - "$W/index.json" <<'PY'
import hashlib, json, sys
raw = open(sys.argv[1], "rb").read()
image, about = json.loads(raw)["manifests"]
print("sha256:" + hashlib.sha256(raw).hexdigest(), image["digest"], about["digest"], about["size"])
PY
  )
  skopeo inspect --raw --tls-verify=false "docker://${IMAGE%:1}@$ATTESTATION" >"$W/attestation.json"
  STATEMENT=$(python3 -c "import json; print(json.load(open('$W/attestation.json'))['layers'][0]['digest'])")
}
blobs() { count "$W/said" "blob sha256:"; }

documents
asked 0 look allow
[ "$(questions)" = 2 ] || fail "asked $(questions) times"
said "root $INDEX"
said "image $MANIFEST"
said "attestation $ATTESTATION"
has_not "$W/said" "signature "
said "blob $ATTESTATION application/vnd.oci.image.manifest.v1+json right"
[ "$(blobs)" = 2 ] || { cat "$W/said"; fail "$(blobs) documents, not index and attestation"; }
asked 0 "look https://slsa.dev/provenance/v1" allow
said "blob $STATEMENT application/vnd.in-toto+json right"
asked 0 "look https://example.com/another/v1" allow
has_not "$W/said" "$STATEMENT"

# Two signatures of an attestation, as clients leave them where a registry keeps no list.
attested signed
documents
python3 - "http://$REG/v2/kiln/signed" "$ATTESTATION" "$ATTESTATION_SIZE" >"$W/signed" <<'PY'
import hashlib, json, sys, urllib.parse, urllib.request
base, subject, size = sys.argv[1:]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
def digest(data): return "sha256:" + hashlib.sha256(data).hexdigest()
def send(url, data, kind):
    return urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT", headers={"Content-Type": kind}))
def blob(data, kind):
    start = urllib.request.urlopen(urllib.request.Request(base + "/blobs/uploads/", method="POST"))
    place = urllib.parse.urljoin(base, start.headers["Location"])
    send(place + ("&" if "?" in place else "?") + "digest=" + digest(data), data, "application/octet-stream")
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}
def signature(artifact, kind, text):
    layer = blob(text, kind)
    data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact,
                       "config": blob(b"{}", "application/vnd.oci.empty.v1+json"), "layers": [layer],
                       "subject": {"mediaType": MANIFEST, "digest": subject, "size": int(size)}}).encode()
    send(base + "/manifests/" + digest(data), data, MANIFEST)
    return {"mediaType": MANIFEST, "digest": digest(data), "size": len(data), "artifactType": artifact}, layer
cosign, cosign_layer = signature("application/vnd.dev.cosign.artifact.sig.v1+json",
                                 "application/vnd.dev.cosign.simplesigning.v1+json", b"cosign")
bundle, bundle_layer = signature("application/vnd.dev.sigstore.bundle.v0.3+json",
                                 "application/vnd.dev.sigstore.bundle.v0.3+json", b"bundle")
other, _ = signature("application/x-nothing", "text/plain", b"nothing")
index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                    "manifests": [other, cosign, bundle]}).encode()
send(base + "/manifests/" + subject.replace(":", "-"), index, "application/vnd.oci.image.index.v1+json")
print(bundle["digest"], bundle_layer["digest"], cosign["digest"])
PY
read -r BUNDLE BUNDLE_LAYER COSIGN <"$W/signed"
asked 0 look allow
[ "$(count "$W/said" "signature ")" = 1 ] || { cat "$W/said"; fail "one signature is taken"; }
said "signature $BUNDLE"
said "blob $BUNDLE application/vnd.oci.image.manifest.v1+json right"
said "blob $BUNDLE_LAYER application/vnd.dev.sigstore.bundle.v0.3+json right"
has_not "$W/said" "$COSIGN"
has_not "$W/said" WRONG
