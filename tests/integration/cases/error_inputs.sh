# Mistakes of a person: each a clear error within seconds, and the daemon goes on.
. "$(dirname "$0")/../lib.sh"
registry_start
daemon_start
mkdir -p "$W/ctx"
try() {  # try TEXT: the build of ctx/Dockerfile fails with TEXT
  timeout 60 bash -c "$(declare -f build); BUILDCTL='$BUILDCTL' W='$W' BASE='$BASE' BASE_DIGEST='$BASE_DIGEST'; build" \
    >"$W/out" 2>"$W/log" && fail "succeeded: $1"
  has "$W/log" "$1"
}

printf 'FROM base\nCOPY missing /x\n' >"$W/ctx/Dockerfile"
try '"/missing": not found'
printf 'FROM base\nRUNN echo\n' >"$W/ctx/Dockerfile"
try 'unknown instruction: RUNN (did you mean RUN?)'
printf 'FROM %s/no/such:1\nRUN true\n' "$REG" >"$W/ctx/Dockerfile"
try "$REG/no/such:1: not found"
printf 'FROM 127.0.0.1:1/down:1\nRUN true\n' >"$W/ctx/Dockerfile"
try 'connect: connection refused'
printf 'FROM base\nADD broken.tar.gz /x/\nRUN true\n' >"$W/ctx/Dockerfile"
mkdir "$W/t"
head -c 100000 /dev/urandom >"$W/t/f"
tar -C "$W/t" -czf "$W/whole.tar.gz" f
head -c 50000 "$W/whole.tar.gz" >"$W/ctx/broken.tar.gz"
try 'unexpected EOF'
rm "$W/ctx/broken.tar.gz"
printf '' >"$W/ctx/Dockerfile"
try 'the Dockerfile cannot be empty'
rm "$W/ctx/Dockerfile"
try 'failed to read dockerfile: open Dockerfile: no such file or directory'

printf 'FROM base\nRUN echo healthy\n' >"$W/ctx/Dockerfile"
build 2>"$W/log" || { cat "$W/log" >&2; fail "the daemon is not healthy afterwards"; }
