# A client that vanishes at any of 50 points of a build: nothing of its build stays.
. "$(dirname "$0")/../lib.sh"
daemon_start
POINTS=${POINTS:-50}

mkdir -p "$W/ctx/files"
for i in $(seq 100); do head -c 5000 /dev/urandom >"$W/ctx/files/$i"; done
echo token >"$W/secret"
dockerfile <<'D'
FROM base AS one
RUN --mount=type=secret,id=token cat /run/secrets/token && i=0; while [ $i -lt 10 ]; do echo $i; i=$((i+1)); usleep 5000; done
FROM base AS two
COPY files /files
RUN --mount=type=cache,target=/cache cp -r /files /copy && cp -r /files /cache/$$
FROM base
COPY --from=one / /one
COPY --from=two /copy /copy
RUN du -s /copy /one
D
rounds=0
start() {  # a build that asks for everything that a client gives, in the background; sets client
  rounds=$((rounds + 1))
  rm -rf "$W/out" "$W/cache"
  "$BUILDCTL" build --progress=plain --no-cache --frontend dockerfile.v0 --local context="$W/ctx" \
    --local dockerfile="$W/ctx" --oci-layout base="$BASE" \
    --opt context:base="oci-layout://base@$BASE_DIGEST" --secret id=token,src="$W/secret" \
    --output type=local,dest="$W/out" --output type=oci,dest="$W/image.tar" \
    --export-cache type=local,dest="$W/cache",mode=max >"$W/said" 2>&1 &
  client=$!
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
of_daemon() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }
descriptors() { ls "/proc/$daemon_pid/fd" | wc -l; }
# Not just "tmp" anywhere: it is also in the name of one snapshot in some thousand.
temporary() { find "$ROOT" \( -path "$ROOT/*/tmp/*" -o -path "$ROOT/tmp/*" -o -name '*.tmp*' \) -not -type d; }
in_use() { "$BUILDCTL" du --format '{{range .}}{{if .InUse}}{{.ID}} {{end}}{{end}}'; }
settled() {
  [ "$(descriptors)" -le $((fds + 4)) ] && [ "$(of_daemon Threads)" -le $((threads + 8)) ] &&
    [ -z "$(in_use)" ] && clean
}
report() { # what there is more of than before
  echo "$(descriptors) of $fds descriptors, $(of_daemon Threads) of $threads threads, in use: $(in_use)"
  leftovers
}

# How long it takes at best, and what a daemon that has built this keeps.
whole=60000
for _ in 1 2 3; do
  began=$(milliseconds)
  start
  wait $client || { cat "$W/said"; fail "the build fails"; }
  took=$(($(milliseconds) - began))
  [ $took -ge $whole ] || whole=$took
done
idle() { [ -z "$(in_use)" ] && clean; }
wait_for 20 idle || fail "a whole build leaves: $(in_use) $(leftovers)"
fds=$(descriptors) threads=$(of_daemon Threads) files=$(temporary | wc -l)

cut=0
for i in $(seq "$POINTS"); do
  start
  sleep "$(awk "BEGIN { print $whole * ($i - 0.5) / $POINTS / 1000 }")"
  if kill -KILL $client 2>/dev/null; then cut=$((cut + 1)); fi
  wait $client 2>/dev/null || true
done
echo "$whole ms for the whole build; cut $cut of $POINTS"
[ $cut -ge $((POINTS / 4)) ] || fail "only $cut of $POINTS clients vanished before their end"
wait_for 60 settled || fail "left: $(report)"
[ "$(temporary | wc -l)" -le "$files" ] || fail "temporary files stay: $(temporary)"

# And the daemon builds on.
start
wait $client || { cat "$W/said"; fail "no build after that"; }
cmp -s "$W/out/copy/1" "$W/ctx/files/1" || fail "the build is not whole"
