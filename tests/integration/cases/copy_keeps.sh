# A layer made by COPY keeps its files whatever happens to the context, and the context's own
# copy keeps its files whatever happens in later steps and layers.
. "$(dirname "$0")/../lib.sh"
mkdir -p "$W/ctx/d/sub"
state() { for f in d/a d/sub/b; do printf '%s' "$1 $f" >"$W/ctx/$f"; done; touch -d "$2" "$W/ctx/d/a" "$W/ctx/d/sub/b"; }
# same DIR STATE: what was exported is the context in that state.
same() { has "$1/a" "$2 d/a"; has "$1/sub/b" "$2 d/sub/b"; }
cat >"$W/copy" <<'D'
FROM base AS made
COPY d /new/d
FROM scratch
COPY --from=made /new/d /
D
cat >"$W/write" <<'D'
FROM base
COPY d /new/d
RUN printf more >>/new/d/a; chmod 0700 /new/d/sub/b; touch -d 2001-01-01 /new/d/sub/b; echo x >/new/d/added
D
cat >"$W/again" <<'D'
FROM base AS made
COPY --chmod=0604 d /mode/d
COPY d /again/d
RUN stat -c '%a %Y' /again/d/sub/b /mode/d/sub/b >/again/d/stat
FROM scratch
COPY --from=made /again/d /
D
use() { cp "$W/$1" "$W/ctx/Dockerfile"; }
daemon_start
state first 2020-01-01
chmod 0644 "$W/ctx/d/sub/b"
# Kept as a layer, never exported, so that its files are all there is of it.
use copy && build --opt target=made 2>"$W/log"
use write && build 2>"$W/log"
use again && build --output type=local,dest="$W/out-again" 2>"$W/log"
same "$W/out-again" first
[ ! -e "$W/out-again/added" ] || fail "a step's file is in the context's copy"
[ "$(wc -c <"$W/out-again/a")" = 9 ] || fail "a step wrote into the context's copy"
has "$W/out-again/stat" "644 $(date -d 2020-01-01 +%s)"
has "$W/out-again/stat" "604 $(date -d 2020-01-01 +%s)"

state second 2021-01-01
use copy && build --output type=local,dest="$W/out-second" 2>"$W/log"
same "$W/out-second" second
# Same size and content as at first: the layer of then is taken, as it was.
state first 2022-01-01
build --output type=local,dest="$W/out-first" 2>"$W/log"
[ "$(cached "$W/log")" -ge 1 ] || { cat "$W/log" >&2; fail "the first layer was not used again"; }
same "$W/out-first" first
# A new daemon compares with what the last one left.
daemon_stop && daemon_start
state third 2023-01-01
build --output type=local,dest="$W/out-third" 2>"$W/log"
same "$W/out-third" third
state second 2024-01-01
build --output type=local,dest="$W/out-second2" 2>"$W/log"
[ "$(cached "$W/log")" -ge 1 ] || { cat "$W/log" >&2; fail "the second layer was not used again"; }
same "$W/out-second2" second
