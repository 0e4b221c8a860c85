# The same input again: all CACHED. One changed file: exactly the dependent steps. A touch: none.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
COPY a /a
RUN cat /a > /ra
COPY b /b
RUN cat /b > /rb
D
echo 1 >"$W/ctx/a"
echo 1 >"$W/ctx/b"
daemon_start

build 2>"$W/log1"
[ "$(cached "$W/log1")" = 0 ] || fail "a cold build has cached steps"
build 2>"$W/log2"
[ "$(cached "$W/log2")" = 4 ] || { cat "$W/log2" >&2; fail "second build: $(cached "$W/log2") of 4 cached"; }
echo 2 >"$W/ctx/b"
build 2>"$W/log3"
[ "$(cached "$W/log3")" = 2 ] || { cat "$W/log3" >&2; fail "b changed: $(cached "$W/log3") of 2 cached"; }
touch "$W/ctx/a" "$W/ctx/b"
build 2>"$W/log4"
[ "$(cached "$W/log4")" = 4 ] || { cat "$W/log4" >&2; fail "touched: $(cached "$W/log4") of 4 cached"; }
