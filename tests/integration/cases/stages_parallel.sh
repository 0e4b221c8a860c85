# Independent stages run at the same time: each waits for the other's mark in a shared cache mount.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base AS one
RUN --mount=type=cache,id=meet,target=/meet touch /meet/one; for i in $(seq 200); do [ -e /meet/two ] && exit 0; sleep 0.1; done; exit 1
FROM base AS two
RUN --mount=type=cache,id=meet,target=/meet touch /meet/two; for i in $(seq 200); do [ -e /meet/one ] && exit 0; sleep 0.1; done; exit 1
FROM scratch
COPY --from=one /etc/passwd /1
COPY --from=two /etc/passwd /2
D
daemon_start
build 2>"$W/log" || { cat "$W/log" >&2; fail "the stages did not meet"; }
