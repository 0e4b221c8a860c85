# Sessions whose health is asked for as they wish, until there is no answer.
. "$(dirname "$0")/../lib.sh"
PEER=${SESSION_PEER:-$(dirname "$BUILDCTL")/session-peer}
[ -x "$PEER" ] || skip "no session-peer at $PEER"
daemon_start
peer() { timeout 120 "$PEER" "$@" >"$W/said" 2>&1; }

# With a header: every second, and one answer that does not come ends the session. Without,
# five seconds lie between two questions, and it takes two of fifteen each.
at() { sed -n "s/^$1 //p" "$W/said"; }
peer health "$BUILDKIT_HOST" 1000 3 || fail "a session that stops answering"
echo "every second: three answers after $(at answered) ms, closed after $(at closed) ms"
[ "$(at answered)" -ge 2500 ] && [ "$(at answered)" -lt 10000 ] || fail "three checks took $(at answered) ms"
[ $(($(at closed) - $(at answered))) -lt 12000 ] || fail "it was closed after $(at closed) ms"
has "$W/buildkitd.log" "healthcheck failed fatally"
peer health "$BUILDKIT_HOST" 1 2 || fail "a wish below a second"
[ "$(at answered)" -ge 1500 ] || fail "two checks in $(at answered) ms"
