# A terminal in a container has the size that the client gives it, and its processes hear of
# each change.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/hostile_frontend.sh"
hostile terminal || { cat "$W/said" >&2; fail "the build"; }
said "terminal: at the start, changed, : exit 5"
