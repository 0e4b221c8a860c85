# A context that comes through stdin: buildx uploads the archive over the session.
. "$(dirname "$0")/../lib.sh"
[ -n "${BUILDX:-}" ] && [ -x "${BUILDX:-}" ] || skip "no docker-buildx on this machine"
daemon_start
"$BUILDX" create --name kiln --driver remote "$BUILDKIT_HOST" >/dev/null
mkdir "$W/sub"
head -c 3000000 /dev/urandom >"$W/sub/large"
echo hello >"$W/sub/small"
dockerfile <<'D'
FROM scratch
COPY sub /out
D
cp -r "$W/sub" "$W/ctx/sub"
tar -C "$W/ctx" -cz . | "$BUILDX" --builder kiln build --progress=plain --output type=local,dest="$W/out" - 2>"$W/log" ||
  { cat "$W/log"; fail "an archive through stdin"; }
cmp "$W/sub/large" "$W/out/out/large" || fail "content"
[ "$(cat "$W/out/out/small")" = hello ] || fail "content of the small one"

# Through stdin may also come the Dockerfile alone.
printf 'FROM scratch\nCOPY --from=ctx small /alone\n' | "$BUILDX" --builder kiln build --progress=plain \
  --build-context ctx="$W/sub" --output type=local,dest="$W/out2" - 2>"$W/log" ||
  { cat "$W/log"; fail "a Dockerfile through stdin"; }
[ "$(cat "$W/out2/alone")" = hello ] || fail "content by the Dockerfile alone"

# What is no archive and no Dockerfile is an error, not a hang.
! head -c 100000 /dev/urandom | timeout 60 "$BUILDX" --builder kiln build --progress=plain - 2>"$W/log" || fail "rubbish builds"
