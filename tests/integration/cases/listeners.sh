# Where the daemon listens besides its socket file: TCP with TLS, with clients that must show a
# certificate, and sockets that systemd passed, with and without TLS.
. "$(dirname "$0")/../lib.sh"
for program in openssl systemd-socket-activate; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
certificates
PORT=$(free_port)
TCP=tcp://127.0.0.1:$PORT
server=(--tlscert "$C/server.crt" --tlskey "$C/server.key")
client=(--tlscacert "$C/ca.crt" --tlscert "$C/client.crt" --tlskey "$C/client.key")
ask() { timeout 20 "$BUILDCTL" --addr "$TCP" --timeout 3 "$@" debug workers >"$W/answer" 2>"$W/log"; }
# Bytes in the clear where TLS is spoken get no HTTP/2 of the daemon.
speaks_tls() {
  timeout 10 openssl s_client -connect "127.0.0.1:$PORT" -CAfile "$C/ca.crt" -verify_return_error -alpn h2 \
    "$@" </dev/null >"$W/tls" 2>&1 || true
  grep -q "Verify return code: 0" "$W/tls" && grep -q "ALPN protocol: h2" "$W/tls"
}
dockerfile <<'D'
FROM base
RUN echo x >/x
D

# The socket file stays plain beside it, and the log says so.
daemon_start --addr "$TCP" "${server[@]}"
has "$W/buildkitd.log" "TLS is disabled for unix://$SOCK"
speaks_tls || { cat "$W/tls" >&2; fail "no TLS on TCP"; }
ask --tlscacert "$C/ca.crt" || { cat "$W/log" >&2; fail "a client with the CA"; }
! ask || fail "TLS is not needed"
daemon_stop

daemon_start --addr "$TCP" "${server[@]}" --tlscacert "$C/ca.crt"
ask "${client[@]}" || { cat "$W/log" >&2; fail "a client with a certificate"; }
# The three files by a folder, in either way to name them.
for names in "ca.pem cert.pem key.pem" "ca.crt tls.crt tls.key"; do
  read -r ca cert key_file <<<"$names"
  mkdir "$W/tls-$ca"
  ! ask --tlsdir "$W/tls-$ca" || fail "a folder without files"
  has "$W/log" "directory did not contain one of the needed files: ca.pem or ca.crt"
  cp "$C/ca.crt" "$W/tls-$ca/$ca"
  cp "$C/client.crt" "$W/tls-$ca/$cert"
  cp "$C/client.key" "$W/tls-$ca/$key_file"
  ask --tlsdir "$W/tls-$ca" || { cat "$W/log" >&2; fail "--tlsdir with $names"; }
done
! ask --tlsdir "$W/tls-ca.pem" --tlscacert "$C/ca.crt" || fail "certificates named twice"
has "$W/log" "cannot specify tlsdir and tlscacert/tlscert/tlskey at the same time"
BUILDKIT_HOST=$TCP
"$BUILDCTL" "${client[@]}" build --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" \
  --oci-layout base="$BASE" --opt context:base="oci-layout://base@$BASE_DIGEST" \
  --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "a build over mutual TLS"; }
has "$W/out/x" x
BUILDKIT_HOST=unix://$SOCK
! ask --tlscacert "$C/ca.crt" || fail "a client without a certificate is served"
openssl req -x509 "${key[@]}" -days 2 -subj "/CN=client" -keyout "$C/own.key" -out "$C/own.crt" 2>"$W/openssl.log"
! ask --tlscacert "$C/ca.crt" --tlscert "$C/own.crt" --tlskey "$C/own.key" || fail "a client of another CA is served"
daemon_stop

# An address that is taken, and a key that is none, are errors of the start.
start_fails() {  # start_fails ARGS…; a daemon that runs is ended
  local status=0
  timeout 10 "$BUILDKITD" --root "$W/root2" "${worker_flags[@]}" --$WORKER-worker-net=host --addr "$TCP" "$@" \
    >"$W/log" 2>&1 || status=$?
  [ $status -ne 0 ] && [ $status -ne 124 ]
}
python3 -c "
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', $PORT))
s.listen()
time.sleep(600)" &
taken=$!
extra_pids="$extra_pids $taken"
wait_for 10 bash -c "(: <>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null" || fail "nobody has the address"
start_fails "${server[@]}" || fail "an address that is taken"
has "$W/log" "listen tcp 127.0.0.1:$PORT: bind"
kill $taken
wait $taken 2>/dev/null || true
start_fails --tlscert "$C/server.crt" || fail "a certificate without a key"
has "$W/log" "you must specify key and cert file if one is specified"
start_fails --tlscert "$C/server.crt" --tlskey "$C/ca.crt" || fail "a key that is none"
has "$W/log" "could not load server key pair"
has "$W/log" "tls: found a certificate rather than a key in the PEM for the private key"
start_fails --tlscert "$C/server.crt" --tlskey "$C/client.key" || fail "a key of another certificate"
has "$W/log" "tls: private key does not match public key"

# Sockets of systemd: what is TCP has TLS if there is a certificate, what is a file has not.
activate() {  # activate SOCKET ARGS…
  systemd-socket-activate -l "$1" "$BUILDKITD" --root "$ROOT" --addr fd:// "${worker_flags[@]}" \
    --$WORKER-worker-net=host "${@:2}" >>"$W/buildkitd.log" 2>&1 &
  daemon_pid=$!
}
: >"$W/buildkitd.log"
activate "127.0.0.1:$PORT" "${server[@]}" --tlscacert "$C/ca.crt"
wait_for 20 ask "${client[@]}" || { cat "$W/log" "$W/buildkitd.log" >&2; fail "TLS on a socket of systemd"; }
speaks_tls -cert "$C/client.crt" -key "$C/client.key" || { cat "$W/tls" >&2; fail "another server on the socket of systemd"; }
! ask --tlscacert "$C/ca.crt" || fail "a client without a certificate is served on the socket of systemd"
! ask || fail "TLS is not needed on the socket of systemd"
daemon_stop

activate "127.0.0.1:$PORT"
wait_for 20 ask || { cat "$W/log" >&2; fail "a socket of systemd in the clear"; }
daemon_stop

activate "$SOCK" "${server[@]}"
wait_for 20 "$BUILDCTL" debug workers >"$W/answer" 2>"$W/log" || { cat "$W/log" "$W/buildkitd.log" >&2; fail "a socket file of systemd"; }
