# buildx's debugger on a step that failed: a shell in its container with its mounts as they
# were, its debug adapter, and a debugger that is killed.
. "$(dirname "$0")/../lib.sh"
[ -n "${BUILDX:-}" ] && [ -x "${BUILDX:-}" ] || skip "no docker-buildx"
HERE=$TOP/tests/integration
export BUILDX_EXPERIMENTAL=1
daemon_start
"$BUILDX" create --name kiln --driver remote "$BUILDKIT_HOST" >/dev/null
echo hush >"$W/token"
# The shell is a file of its own, since some versions of buildx lose their way in links.
dockerfile <<'D'
FROM base AS src
RUN echo from-src > /f
FROM base
RUN rm /bin/sh && cp /bin/busybox /bin/sh
RUN --mount=type=cache,target=/cache --mount=type=bind,from=src,target=/bound \
    --mount=type=secret,id=token echo made-before > /made && echo kept > /cache/kept && exit 4
D
debug() { # debug WORDS… -- COMMAND…: buildx with the words in front of the build
  local words=()
  while [ "$1" != -- ]; do words+=("$1"); shift; done
  shift
  "$@" "$BUILDX" --builder kiln "${words[@]}" --progress=plain --secret "id=token,src=$W/token" \
    --build-context "base=oci-layout://$BASE@$BASE_DIGEST" "$W/ctx"
}

# A shell in the failed step, then the monitor's own commands.
cat >"$W/talk" <<'T'
/ # 
echo sa''id $(cat /made) $(cat /cache/kept) $(cat /bound/f) $(cat /run/secrets/token)
said made-before kept from-src hush
exit 3
\(buildx\) 
exec /bin/cat /made
made-before\s[\s\S]*\(buildx\) 
exit
T
debug debug --on=error build --output=type=cacheonly -- python3 "$HERE/pty_talk.py" "$W/talk" >"$W/said" ||
  { cat "$W/said"; fail "the monitor does not do as it is told"; }
has "$W/said" "did not complete successfully: exit code: 4"
has "$W/said" "invoke: exit code: 3"
wait_for 20 clean || fail "the debugger leaves: $(leftovers)"

# The same by the protocol of editors.
debug dap build -- timeout 40 python3 -u "$HERE/dap_talk.py" "$W/ctx" >"$W/dap" 2>&1 ||
  { cat "$W/dap"; fail "the debug adapter does not do as it is told"; }
has "$W/dap" "stopped: exception"
has "$W/dap" "at line 5"
has "$W/dap" "File Explorer"
# Older versions of buildx do not find the shell of a step that has mounts.
grep -q "not executable" "$W/dap" || has "$W/dap" "made made-before cache kept bound from-src"
wait_for 20 clean || fail "the debug adapter leaves: $(leftovers)"

# A debugger that is killed at its prompt takes the container along.
cat >"$W/talk" <<'T'
/ # 
sleep 1000
never said

T
debug debug --on=error build --output=type=cacheonly -- python3 "$HERE/pty_talk.py" "$W/talk" >"$W/said" &
talk=$!
sleeps() { pgrep -f "^sleep 1000$" >/dev/null; }
wait_for 30 sleeps || fail "nothing runs in the container"
debugger=$(pgrep -P "$(pgrep -P $talk python3)")
kill -KILL "$debugger"
gone() { clean && ! sleeps; }
wait_for 20 gone || fail "a killed debugger leaves: $(leftovers)"
