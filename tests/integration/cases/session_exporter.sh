# A client that names an exporter when it sees the result.
. "$(dirname "$0")/../lib.sh"
PEER=${SESSION_PEER:-$(dirname "$BUILDCTL")/session-peer}
[ -x "$PEER" ] || skip "no session-peer at $PEER"
daemon_start
peer() { timeout 120 "$PEER" "$@" >"$W/said" 2>&1; }
said() { has "$W/said" "$1"; }

peer exporter "$BUILDKIT_HOST" image name=example.com/asked-for:1 || { cat "$W/said"; fail "an exporter that is asked for"; }
said "find: 1 references"
digest=$(sed -n 's/^response containerimage.digest=//p' "$W/said")
[ -n "$digest" ] || { cat "$W/said"; fail "nothing was exported"; }
said "told containerimage.digest=$digest" # to the session too
said "told image.name=example.com/asked-for:1"
peer exporter "$BUILDKIT_HOST" none || fail "no exporter at all"
said "find: 1 references"
said "finalize"
has_not "$W/said" "containerimage.digest"
! peer exporter "$BUILDKIT_HOST" fail || fail "a client that refuses to say"
said "not today"
has_not "$W/said" "finalize"
! peer exporter "$BUILDKIT_HOST" no-such-exporter || fail "an exporter that there is not"
said 'exporter "no-such-exporter" could not be found'
