# Frontends that are images: those that misbehave end the build and leave nothing.
. "$(dirname "$0")/../lib.sh"
daemon_start

# frontend NAME SCRIPT: an image whose entrypoint is a shell script; sets DIGEST.
frontend() {
  dockerfile <<D
FROM base
ENTRYPOINT ["/bin/sh", "-c", "$2"]
D
  build --output type=oci,tar=false,dest="$W/$1" --metadata-file "$W/$1.json" 2>"$W/$1.log"
  DIGEST=$(python3 -c "import json; print(json.load(open('$W/$1.json'))['containerimage.digest'])")
}
# run NAME DIGEST [ARGS…]: a build by that frontend.
run() {
  local name=$1 digest=$2
  shift 2
  "$BUILDCTL" build --progress=plain --frontend gateway.v0 --opt source="$name" \
    --oci-layout "$name=$W/$name" --opt "context:$name=oci-layout://$name@$digest" "$@"
}

frontend silent "exit 0"
! run silent "$DIGEST" 2>"$W/said" || fail "a frontend that returns nothing has a result"
has "$W/said" "no result for incomplete build"

frontend failing "echo \$BUILDKIT_SESSION_ID | grep -q . && exit 7"
! run failing "$DIGEST" 2>"$W/said" || fail "a frontend that fails has a result"
has "$W/said" "exit code: 7"

frontend garbage "echo this is not http; cat >/dev/null; sleep 60"
! run garbage "$DIGEST" 2>"$W/said" || fail "garbage has a result"
has "$W/said" "frontend grpc server closed unexpectedly"

! run garbage "$DIGEST" --opt frontend.caps=moby.buildkit.frontend.nothing 2>"$W/said" ||
  fail "a capability that is not there is there"
has "$W/said" "unsupported frontend capability moby.buildkit.frontend.nothing"

frontend endless "while true; do sleep 1; done"
run endless "$DIGEST" 2>"$W/said" &
client=$!
wait_for 20 a_step_runs || fail "the frontend does not start"
kill -KILL "$(pgrep -P $client)" # the program, not the shell around it
wait_for 20 no_step_runs || fail "the frontend outlives its client"
