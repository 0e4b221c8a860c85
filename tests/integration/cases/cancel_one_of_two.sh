# Ctrl-C in one client does not stop a step that another client wants; in the last one it does.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo started; for i in $(seq 600); do echo tick $i; sleep 0.1; done
D
daemon_start
# exec: so that the signal reaches the client itself.
(trap - INT; exec "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" --oci-layout base="$BASE" --opt context:base="oci-layout://base@$BASE_DIGEST") 2>"$W/log1" & one=$!
(trap - INT; exec "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" --oci-layout base="$BASE" --opt context:base="oci-layout://base@$BASE_DIGEST") 2>"$W/log2" & two=$!
# The log line "0.1 started", not the step's name, which has the word too.
wait_for 30 grep -qE "^#[0-9]+ [0-9.]+ started" "$W/log1" || fail "first log"
wait_for 30 grep -qE "^#[0-9]+ [0-9.]+ started" "$W/log2" || fail "second log"
pgrep -f "seq 600" >/dev/null || fail "no step runs"

kill -TERM $one
wait $one && fail "a cancelled client ends with 0"
# The step that the other build wants goes on: its output does.
ticks=$(count "$W/log2" "tick ")
goes_on() { [ "$(count "$W/log2" "tick ")" -gt $((ticks + 10)) ]; }
wait_for 20 goes_on || fail "the step that the other build wants was stopped"

kill -TERM $two
wait $two && fail "a cancelled client ends with 0"
gone() { ! pgrep -f "seq 600" >/dev/null; }
wait_for 15 gone || fail "the step goes on without a client"
wait_for 15 clean || fail "left behind: $(leftovers)"
