# A registry that wants to see a certificate: the daemon trusts its CA and shows the key pair that
# the configuration names for it, or trusts anybody; and a mirror that is asked in its place.
. "$(dirname "$0")/../lib.sh"
command -v openssl >/dev/null || skip "openssl is not installed"
certificates
PORT=$(free_port)
REG=127.0.0.1:$PORT
cat >"$W/registry.yml" <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $W/registry}}
http:
  addr: $REG
  tls: {certificate: $C/server.crt, key: $C/server.key, clientcas: [$C/ca.crt]}
Y
docker-registry serve "$W/registry.yml" >"$W/registry.log" 2>&1 &
registry_pid=$!
wait_for 20 bash -c "(: <>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null" || fail "the registry does not answer"

start() {  # start LINE…: with these lines about the registry; of this machine's, HTTP is the default
  printf '[registry."%s"]\n  http = false\n' "$REG" >"$W/buildkitd.toml"
  printf '  %s\n' "$@" >>"$W/buildkitd.toml"
  daemon_start --config "$W/buildkitd.toml"
}
pair="[[registry.\"$REG\".keypair]]
    key = \"$C/client.key\"
    cert = \"$C/client.crt\""
dockerfile <<'D'
FROM base
RUN echo pushed >/pushed
D
push() { build --output "type=image,name=$REG/kiln/pushed:1,push=true" >"$W/log" 2>&1; }
from() {  # from REGISTRY
  mkdir -p "$W/from"
  printf 'FROM %s/kiln/pushed:1\nRUN cp /pushed /again\n' "$1" >"$W/from/Dockerfile"
  "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/from" --local dockerfile="$W/from" \
    --no-cache --output "type=local,dest=$W/out" >"$W/log" 2>&1
}

start "ca = [\"$C/ca.crt\"]" "$pair"
push || { cat "$W/log" >&2; fail "a push with the key pair"; }
daemon_stop
forget_all

start "ca = [\"$C/ca.crt\"]" "$pair"
from "$REG" || { cat "$W/log" >&2; fail "a pull with the key pair"; }
has "$W/out/again" pushed
daemon_stop
forget_all

start "ca = [\"$C/ca.crt\"]"
! from "$REG" || fail "no certificate is needed"
has_not "$W/log" "unknown authority"
daemon_stop

start "$pair"
! from "$REG" || fail "the CA is trusted unasked"
has "$W/log" "certificate"
daemon_stop

start "insecure = true" "$pair"
from "$REG" || { cat "$W/log" >&2; fail "a registry that nobody vouches for"; }
daemon_stop
forget_all

# Of a name that nobody has, only the mirror can give it.
start "ca = [\"$C/ca.crt\"]" "$pair" "[registry.\"nowhere.invalid\"]" "  mirrors = [\"$REG\"]"
from nowhere.invalid || { cat "$W/log" >&2; fail "a mirror"; }
