# kill -9 at random instants while builds, a cache export and prunes run. After each: the
# daemon starts, the database is sound, no key leads nowhere, every step that had been
# reported done is CACHED, and the image is that of an undisturbed run. After a prune
# of everything no snapshot and no blob is left.
#
# KILN_KILLS=200 for more of them; KILN_KILL_SEED repeats the instants.
. "$(dirname "$0")/../lib.sh"
kills=${KILN_KILLS:-5}
seed=${KILN_KILL_SEED:-$(date +%s)}
echo "KILN_KILL_SEED=$seed KILN_KILLS=$kills"
RANDOM=$seed
root_check() {
  local stored=()
  if [ $WORKER = containerd ]; then
    { ctd snapshots ls | awk 'NR > 1 { sub(/-active$/, "", $1); print $1 }' && ctd content ls -q; } >"$W/stored"
    stored=(--stored "$W/stored")
  fi
  python3 "$TOP/tests/integration/root_check.py" "$ROOT" "${stored[@]}" "$@"
}

# Steps of one variant: copies, a chain of runs, two stages that run beside each other.
variant() {
  dockerfile <<D
FROM base AS left
COPY a /a
RUN cat /a > /left && for i in 1 2 3; do echo $1.\$i > /l\$i; sleep 0.05; done
RUN mkdir /d && for i in \$(seq 40); do echo $1-\$i > /d/\$i; done
FROM base
COPY b /b
RUN cat /b /b > /right
COPY --from=left /d /d
RUN echo $1 > /end
D
  echo "a $1" >"$W/ctx/a"
  head -c 300000 /dev/zero | tr '\0' "$1" >"$W/ctx/b"
}
image() {  # image OUT [ARGS…]: builds the variant; times are fixed
  local out=$1
  shift
  SOURCE_DATE_EPOCH=1 build --opt build-arg:SOURCE_DATE_EPOCH=1 \
    --output type=oci,dest="$out",rewrite-timestamp=true "$@"
}
digest() { tar -xOf "$1" index.json | python3 -c 'import json,sys; print(json.load(sys.stdin)["manifests"][0]["digest"])'; }
# Names of the steps that a plain log says are done or cached.
steps_done() {
  python3 - "$1" <<'PY'
import re, sys
names, done = {}, []
for line in open(sys.argv[1], errors="replace"):
    if m := re.match(r"#(\d+) (\[.*(?:RUN|COPY) .*)", line):
        names[m[1]] = m[2].strip()
    elif (m := re.match(r"#(\d+) (DONE|CACHED)", line)) and m[1] in names:
        done.append(names[m[1]])
print("\n".join(sorted(set(done))))
PY
}
steps_cached() {
  python3 - "$1" <<'PY'
import re, sys
names = {}
for line in open(sys.argv[1], errors="replace"):
    if m := re.match(r"#(\d+) (\[.*(?:RUN|COPY) .*)", line):
        names[m[1]] = m[2].strip()
    elif (m := re.match(r"#(\d+) CACHED", line)) and m[1] in names:
        print(names[m[1]])
PY
}
empty_cache() { "$BUILDCTL" prune --all >/dev/null && "$BUILDCTL" prune-histories >/dev/null; }

daemon_start
declare -A expected
for v in 1 2 3; do
  variant $v
  image "$W/undisturbed.tar" 2>"$W/log0"
  expected[$v]=$(digest "$W/undisturbed.tar")
done
variant 1
empty_cache
start=$(date +%s%N)
image "$W/undisturbed.tar" 2>"$W/log0"
span=$((($(date +%s%N) - start) / 1000000 + 300))

lost=0
for round in $(seq "$kills"); do
  v=$((RANDOM % 3 + 1))
  variant $v
  image "$W/killed.tar" --export-cache type=local,dest="$W/cache-$round",mode=max 2>"$W/log1" &
  victims=$!
  # Prunes take only what is no step of ours.
  (while "$BUILDCTL" prune --filter description~=victim; do :; done) >/dev/null 2>&1 &
  victims+=" $!"
  (i=0; while printf 'FROM base\nRUN echo %s-%s > /victim\n' $round $((i++)) >"$W/other/Dockerfile" &&
    "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/other" \
      --local dockerfile="$W/other" --oci-layout base="$BASE" \
      --opt context:base="oci-layout://base@$BASE_DIGEST"; do :; done) >/dev/null 2>&1 &
  victims+=" $!"
  mkdir -p "$W/other"
  sleep "$(python3 -c "print(($RANDOM * 32768 + $RANDOM) % $span / 1000)")"
  daemon_kill9
  for pid in $victims; do wait "$pid" 2>/dev/null || true; done
  root_check >"$W/wrong" || { cat "$W/wrong" >&2; fail "round $round: the root after kill -9"; }
  daemon_start
  image "$W/out.tar" 2>"$W/log2" || { cat "$W/log2" >&2; fail "round $round: the build after kill -9"; }
  steps_done "$W/log1" | sed /^$/d >"$W/done"
  steps_cached "$W/log2" | sort -u >"$W/cached"
  comm -23 "$W/done" "$W/cached" >"$W/lost"
  [ ! -s "$W/lost" ] || { cat "$W/log1" "$W/log2" "$W/lost" >&2; fail "round $round: steps that were done are not cached"; }
  [ "$(digest "$W/out.tar")" = "${expected[$v]}" ] || fail "round $round: another image"
  rm -rf "$W/cache-$round"
  [ $((RANDOM % 3)) -gt 0 ] || continue
  wait_for 10 empty_cache || fail "round $round: prune"
  daemon_stop
  root_check --dangling >"$W/wrong" || { cat "$W/wrong" >&2; fail "round $round: the root after a prune"; }
  daemon_start
done
