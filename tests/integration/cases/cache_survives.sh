# Cache survives a restart and a kill -9.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
COPY a /a
RUN cat /a > /ra && echo done > /d
D
echo 1 >"$W/ctx/a"
daemon_start
build 2>"$W/log1"

daemon_stop
daemon_start
build 2>"$W/log2"
[ "$(cached "$W/log2")" = 2 ] || { cat "$W/log2" >&2; fail "after a restart"; }

daemon_kill9
daemon_start
build --output type=oci,dest="$W/out.tar" 2>"$W/log3"
[ "$(cached "$W/log3")" = 2 ] || { cat "$W/log3" >&2; fail "after kill -9"; }
[ "$(run_image "$W/out.tar" /bin/cat /d)" = done ] || fail "the image after kill -9"
