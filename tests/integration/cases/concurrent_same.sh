# Two clients, one build: each step runs once, both see its log.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN --mount=type=cache,target=/c echo ran >> /c/runs; echo "the shared log"; for i in $(seq 600); do [ -e /c/go ] && exit 0; sleep 0.1; done; exit 1
RUN --mount=type=cache,target=/c wc -l < /c/runs > /runs
D
cat >"$W/go.Dockerfile" <<'D'
FROM base
RUN --mount=type=cache,target=/c touch /c/go
D
daemon_start

build --output type=oci,dest="$W/1.tar" 2>"$W/log1" & one=$!
build --output type=oci,dest="$W/2.tar" 2>"$W/log2" & two=$!
wait_for 30 grep -q "the shared log" "$W/log1" || fail "first log"
wait_for 30 grep -q "the shared log" "$W/log2" || fail "second log"
mkdir "$W/go"
cp "$W/go.Dockerfile" "$W/go/Dockerfile"
"$BUILDCTL" build --frontend dockerfile.v0 --local context="$W/go" --local dockerfile="$W/go" \
  --oci-layout base="$BASE" --opt context:base="oci-layout://base@$BASE_DIGEST" 2>"$W/golog"
wait $one || fail "first build: $(cat "$W/log1")"
wait $two || fail "second build: $(cat "$W/log2")"

[ "$(run_image "$W/1.tar" /bin/cat /runs)" = 1 ] || fail "the step ran more than once"
[ "$(run_image "$W/2.tar" /bin/cat /runs)" = 1 ] || fail "the step ran more than once"
