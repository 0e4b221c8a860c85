# Syntax references that the built-in Dockerfile frontend answers: nothing is pulled or run.
. "$(dirname "$0")/../lib.sh"

# Nobody listens there, so that a pull cannot succeed.
NAMED=127.0.0.1:1/docker/dockerfile:1.9
OTHER=127.0.0.1:1/docker/dockerfile:2
cat >"$W/buildkitd.toml" <<'C'
[frontend."dockerfile.v0"]
  syntaxes = ["127.0.0.1:1/docker/dockerfile:1*"]
C

files() {  # files FIRST_LINE: a Dockerfile with that line on top
  dockerfile <<D
$1
FROM base
RUN echo built by the frontend of the daemon > /said
D
}
answered() { count "$W/buildkitd.log" "$NAMED is answered by the built-in dockerfile.v0"; }
# builds WHAT [ARGS…]: builds into a folder, and the log says whose frontend it was.
builds() {
  local what=$1 before
  shift
  before=$(answered)
  build "$@" --output type=local,dest="$W/out-$what" 2>"$W/$what" || { cat "$W/$what" >&2; fail "$what"; }
  has "$W/out-$what/said" "built by the frontend"
  has_not "$W/$what" "resolve image config for docker-image://$NAMED"
  [ "$(answered)" -gt "$before" ] || fail "$what: the log does not say who answered"
}
# pulls WHAT [ARGS…]: the image is asked for, which fails.
pulls() {
  local what=$1
  shift
  ! build "$@" 2>"$W/$what" || fail "$what: an image that is nowhere is a frontend"
  has "$W/$what" "connection refused"
}

daemon_start --config "$W/buildkitd.toml"
files "# syntax=$NAMED"
builds line
files "# a comment"
builds argument --opt "build-arg:BUILDKIT_SYNTAX=$NAMED" --no-cache
builds source --frontend gateway.v0 --opt "source=$NAMED" --no-cache
files "# syntax=$OTHER"
pulls other
daemon_stop

# Without the key every syntax is an image.
daemon_start
files "# syntax=$NAMED"
pulls default
