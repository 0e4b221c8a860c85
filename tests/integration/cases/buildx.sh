# The same from docker-buildx, unpatched: only the endpoint is configured.
. "$(dirname "$0")/../lib.sh"
[ -n "${BUILDX:-}" ] || skip "no docker-buildx on this machine"
registry_start
daemon_start
skopeo copy -q --dest-tls-verify=false "oci:$BASE:latest" "docker://$REG/base:1"
dockerfile <<D
FROM $REG/base:1 AS first
ARG WHO=nobody
RUN echo "hello \$WHO" > /hello
FROM first AS second
RUN cat /hello > /second
CMD ["/bin/cat", "/second"]
D
cat >"$W/ctx/docker-bake.json" <<D
{"group": {"default": {"targets": ["one", "two"]}},
 "target": {"one": {"context": "$W/ctx", "target": "first", "output": ["type=local,dest=$W/one"]},
            "two": {"context": "$W/ctx", "target": "second", "args": {"WHO": "bake"}, "output": ["type=local,dest=$W/two"]}}}
D
bx() { "$BUILDX" "$@"; }
bx create --name kiln --driver remote "$BUILDKIT_HOST" >"$W/create"
bx inspect kiln >"$W/inspect"
has "$W/inspect" "Status:"
has "$W/inspect" "running"
bx ls >"$W/ls"
has "$W/ls" kiln
bx build --builder kiln --progress=plain --build-arg WHO=world --output type=oci,dest="$W/out.tar" "$W/ctx" 2>"$W/log" || { cat "$W/log" >&2; fail "buildx build"; }
tar -tf "$W/out.tar" >"$W/names"
has "$W/names" index.json
bx build --builder kiln --progress=rawjson --no-cache --target first --output type=local,dest="$W/first" "$W/ctx" 2>"$W/raw" || { cat "$W/raw" >&2; fail "rawjson"; }
[ "$(cat "$W/first/hello")" = "hello nobody" ] || fail "local output"
head -n 1 "$W/raw" | python3 -c 'import json,sys; json.loads(sys.stdin.readline())'
bx build --builder kiln --provenance=false --push -t "$REG/kiln/x:1" "$W/ctx" 2>"$W/log" || { cat "$W/log" >&2; fail "push"; }
skopeo inspect --tls-verify=false "docker://$REG/kiln/x:1" >/dev/null
bx bake --builder kiln --allow="fs=$W" -f "$W/ctx/docker-bake.json" 2>"$W/log" || { cat "$W/log" >&2; fail "bake"; }
[ "$(cat "$W/two/second")" = "hello bake" ] || fail "bake output"
bx du --builder kiln >"$W/du"
has "$W/du" "Total:"
bx prune --builder kiln -f --all >"$W/prune"
has "$W/prune" "Total:"
bx rm kiln >/dev/null 2>&1
