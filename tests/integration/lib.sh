# Sourced by every case: a daemon of its own, helpers, and the check that nothing is left.
#
# From the environment: BUILDKITD, BUILDCTL (programs), BUILDX (may be empty); and
# KILN_WORKER=containerd, which runs a case on that worker, with a containerd of its own.
# A case sees: W (its folder), ROOT (the daemon's), BUILDKIT_HOST, BASE (an OCI
# layout), BASE_DIGEST. It ends with status 77 to say that it was skipped, and why.
set -euo pipefail

CASES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$CASES/../.." && pwd)
W=$(mktemp -d /tmp/kiln-case-XXXXXX)
ROOT=$W/root
SOCK=$W/buildkitd.sock
export BUILDKIT_HOST=unix://$SOCK BUILDX_CONFIG=$W/buildx DOCKER_CONFIG=$W/docker
unset SOURCE_DATE_EPOCH
daemon_pid= registry_pid= extra_pids=

fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "SKIPPED: $*" >&2; exit 77; }
# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.05
  done
}
has() { grep -qF -- "$2" "$1" || { echo "--- $1:" >&2; cat "$1" >&2; fail "$1 lacks: $2"; }; }
has_not() { ! grep -qF -- "$2" "$1" || { cat "$1" >&2; fail "$1 has: $2"; }; }
count() { grep -cF -- "$2" "$1" || true; }

WORKER=oci
worker_flags=(--oci-worker=true --containerd-worker=false)
daemon_start() {  # daemon_start [ARGS…]: flags of the OCI worker are given to the worker there is
  "$BUILDKITD" --root "$ROOT" --addr "$BUILDKIT_HOST" "${worker_flags[@]}" \
    --$WORKER-worker-net="${NET:-host}" "${@/#--oci-worker-/--$WORKER-worker-}" >>"$W/buildkitd.log" 2>&1 &
  daemon_pid=$!
  wait_for 20 "$BUILDCTL" debug workers >"$W/workers" 2>/dev/null || { cat "$W/buildkitd.log" >&2; fail "the daemon does not answer"; }
}
daemon_stop() {
  [ -n "$daemon_pid" ] || return 0
  kill -TERM "$daemon_pid" 2>/dev/null || true
  wait "$daemon_pid" 2>/dev/null || true
  daemon_pid=
}
daemon_kill9() {
  kill -KILL "$daemon_pid"
  wait "$daemon_pid" 2>/dev/null || true
  daemon_pid=
}
stored_blobs() {  # one a line
  if [ $WORKER = containerd ]; then
    ctd content ls -q && ctr -a "$CTD" -n buildkit_history content ls -q
  else
    find "$ROOT/content/blobs" -type f
  fi
}
forget_all() {  # as if there had never been a daemon; between daemons
  rm -rf "$ROOT"
  [ $WORKER = containerd ] || return 0
  local space lease
  for space in buildkit buildkit_history; do
    for lease in $(ctr -a "$CTD" -n $space leases ls -q); do ctr -a "$CTD" -n $space leases rm "$lease" >/dev/null; done
    ctr -a "$CTD" -n $space images ls -q | xargs -r ctr -a "$CTD" -n $space images rm >/dev/null
    ctr -a "$CTD" -n $space content prune references >/dev/null
  done
}
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)  # of a certificate that openssl makes
# Sets C: a folder with ca, and signed by it server (of 127.0.0.1) and client, each .crt and .key.
certificates() {
  C=$W/certs
  mkdir "$C"
  (
    cd "$C"
    openssl req -x509 "${key[@]}" -days 2 -subj "/CN=Example CA" -keyout ca.key -out ca.crt
    for name in server client; do
      openssl req "${key[@]}" -subj "/CN=$name" -addext subjectAltName=IP:127.0.0.1 -keyout $name.key -out $name.csr
      openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out $name.crt
    done
  ) 2>"$W/openssl.log" || { cat "$W/openssl.log" >&2; fail "openssl"; }
}
registry_start() {  # sets REG
  local port
  port=$(free_port)
  REG=127.0.0.1:$port
  printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n' \
    "$W/registry" "$REG" >"$W/registry.yml"
  docker-registry serve "$W/registry.yml" >"$W/registry.log" 2>&1 &
  registry_pid=$!
  wait_for 20 python3 -c "import urllib.request; urllib.request.urlopen('http://$REG/v2/')" 2>/dev/null ||
    fail "the registry does not answer"
}
# build [ARGS…]: our Dockerfile build of the folder $W/ctx, base image as FROM base.
build() {
  "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" \
    --local dockerfile="$W/ctx" --oci-layout base="$BASE" \
    --opt context:base="oci-layout://base@$BASE_DIGEST" "$@"
}
dockerfile() { mkdir -p "$W/ctx"; cat >"$W/ctx/Dockerfile"; }
# cached LOG: how many steps of a plain log were CACHED.
cached() { grep -cE '^#[0-9]+ CACHED$' "$1" || true; }
run_image() {  # run_image OCI_TAR [ARGS…]: unpacks with umoci, runs with runc, prints its output
  local tar=$1 b
  shift
  b=$W/bundle-$RANDOM
  mkdir -p "$b.layout"
  tar -xf "$tar" -C "$b.layout"
  local tag
  tag=$(python3 -c "import json;print(json.load(open('$b.layout/index.json'))['manifests'][0].get('annotations',{}).get('org.opencontainers.image.ref.name',''))")
  if [ -z "$tag" ]; then
    python3 - "$b.layout/index.json" <<'PY'
import json, sys
p = sys.argv[1]
d = json.load(open(p))
d["manifests"][0].setdefault("annotations", {})["org.opencontainers.image.ref.name"] = "latest"
json.dump(d, open(p, "w"))
PY
    tag=latest
  fi
  umoci unpack --image "$b.layout:$tag" "$b" >"$W/umoci.log" 2>&1 || { cat "$W/umoci.log" >&2; fail "umoci does not take the image"; }
  run_bundle "$b" "$@"
}
run_bundle() {
  local b=$1
  shift
  python3 - "$b/config.json" "$@" <<'PY'
import json, sys
p, args = sys.argv[1], sys.argv[2:]
c = json.load(open(p))
c["process"]["terminal"] = False
if args:
    c["process"]["args"] = args
json.dump(c, open(p, "w"))
PY
  runc --root "$W/runc-state" run --bundle "$b" "kiln-case-$$-$RANDOM" </dev/null
}

containers() {  # of steps, one a line
  if [ $WORKER = containerd ]; then ctd containers ls -q; else pgrep -af -- "runc .*run .*$ROOT" || true; fi
}
a_step_runs() { [ -n "$(containers)" ]; }
no_step_runs() { [ -z "$(containers)" ]; }
leftovers() {  # mounts, containers and steps' processes under this case's root
  grep -F " $ROOT/" /proc/self/mountinfo || true
  find "$ROOT" -path '*runc*' -name state.json 2>/dev/null || true
  pgrep -af -- "runc .*$ROOT" || true
  [ $WORKER = oci ] || ! kill -0 "$containerd_pid" 2>/dev/null || containers
}
clean() { [ -z "$(leftovers)" ]; }

finish() {
  local status=$?
  trap - EXIT
  if [ $status -eq 0 ] && [ -n "$daemon_pid" ]; then
    kill -0 "$daemon_pid" 2>/dev/null || { echo "FAILED: the daemon has died" >&2; status=1; }
    wait_for 10 clean || { echo "FAILED: left behind:" >&2; leftovers >&2; status=1; }
  fi
  [ $status -eq 0 ] || [ $status -eq 77 ] || { echo "--- daemon:" >&2; tail -n 40 "$W/buildkitd.log" >&2 || true; }
  [ -z "$daemon_pid" ] || { kill -TERM "$daemon_pid" 2>/dev/null; wait_for 10 bash -c "! kill -0 $daemon_pid 2>/dev/null" || kill -KILL "$daemon_pid"; } 2>/dev/null || true
  # After the daemon, which ends its containers in containerd.
  for pid in $extra_pids $registry_pid; do kill -KILL "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  awk -v root="$W/" 'index($5 "/", root) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m" || true; done
  [ -n "${KEEP:-}" ] || rm -rf "$W"
  exit $status
}
trap finish EXIT

BASE=$W/base
BASE_DIGEST=$("$TOP/tools/busybox-image" "$BASE")
if [ "${KILN_WORKER:-oci}" = containerd ]; then
  . "$TOP/tests/integration/containerd.sh"
  containerd_start
  use_containerd
fi
