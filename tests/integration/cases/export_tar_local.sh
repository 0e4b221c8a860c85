# type=tar and type=local give the same files.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base AS b
RUN mkdir -p /out/sub && echo one > /out/a && echo two > /out/sub/b && ln -s a /out/link && chmod 750 /out/sub
FROM scratch
COPY --from=b /out /
D
daemon_start

build --output type=tar,dest="$W/out.tar" 2>"$W/log"
build --output type=local,dest="$W/out" 2>"$W/log2"

mkdir "$W/fromtar"
tar -xf "$W/out.tar" -C "$W/fromtar"
diff -r --no-dereference "$W/fromtar" "$W/out"
[ "$(cat "$W/out/sub/b")" = two ] || fail "content"
[ "$(readlink "$W/out/link")" = a ] || fail "link"
[ "$(stat -c %a "$W/out/sub")" = 750 ] || fail "mode $(stat -c %a "$W/out/sub")"
