# Steps behind the proxy: what they reach, what of it is told, and that nothing of it stays.
. "$(dirname "$0")/../lib.sh"
cat >"$W/server.py" <<'PY'
import http.server, ssl, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/endless":
            self.send_response(200)
            self.send_header("Content-Length", "1000000000")
            self.end_headers()
            self.wfile.write(b"x")
            self.wfile.flush()
            open(sys.argv[1] + ".endless", "a").write("asked\n")
            time.sleep(600)
        found = self.path in ("/file", "/new")
        body = b"content of " + self.path.encode() + b"\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
open(sys.argv[1], "w").write(str(server.server_address[1]))
server.serve_forever()
PY
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$W/key.pem" -out "$W/cert.pem" -days 2 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>"$W/openssl.log" || { cat "$W/openssl.log" >&2; fail "no certificate"; }
python3 "$W/server.py" "$W/port" &
extra_pids="$extra_pids $!"
python3 "$W/server.py" "$W/tls-port" "$W/cert.pem" "$W/key.pem" &
extra_pids="$extra_pids $!"
wait_for 20 test -s "$W/port" && wait_for 20 test -s "$W/tls-port" || fail "no servers"
url=http://127.0.0.1:$(cat "$W/port") tls=https://localhost:$(cat "$W/tls-port")
left() { find "$ROOT" -path '*/net/proxy/*' 2>/dev/null; }
gone() { [ -z "$(left)" ]; }

export SSL_CERT_FILE=$W/cert.pem
daemon_start
unset SSL_CERT_FILE
dockerfile <<D
FROM base AS trust
RUN mkdir -p /etc/ssl/certs && echo original >/etc/ssl/certs/ca-certificates.crt
FROM trust AS got
RUN no_proxy= NO_PROXY= wget -q -O /plain $url/file && no_proxy= NO_PROXY= wget -q -O /tls $tls/file
RUN grep -q 'proxy CA begin' /etc/ssl/certs/ca-certificates.crt && env >/env
RUN unset http_proxy HTTP_PROXY; ! wget -T 2 -q -O- $url/file && ! wget -T 2 -q -O- http://1.1.1.1/
RUN --network=none ! env | grep -i http_proxy= && ! grep -q 'proxy CA' /etc/ssl/certs/ca-certificates.crt
FROM scratch AS files
COPY --from=got /plain /tls /env /etc/ssl/certs/ca-certificates.crt /
FROM base AS denied
RUN no_proxy= NO_PROXY= wget -S -O- $url/secret
FROM base AS converted
RUN no_proxy= NO_PROXY= wget -q -O- $url/old
FROM base AS missing
RUN no_proxy= NO_PROXY= wget -q -O- $url/missing || true
FROM trust AS endless
RUN no_proxy= NO_PROXY= wget -q -O- $url/endless
D
build --proxy-network --opt target=files --opt attest:provenance=mode=max \
  --output type=local,dest="$W/files" 2>"$W/log" || { cat "$W/log" >&2; fail "build"; }
[ "$(cat "$W/files/plain" "$W/files/tls")" = "$(printf 'content of /file\n%.0s' 1 2)" ] || fail "the files"
[ "$(cat "$W/files/ca-certificates.crt")" = original ] || fail "the certificate is in the layer"
has "$W/files/env" 'HTTPS_PROXY=http://10.89.0.1:3128'
has "$W/log" "proxy network requests:"
has "$W/log" "- GET $url/file -> 200"
has "$W/log" "- GET $tls/file -> 200"
python3 - "$W/files/provenance.json" "$url/file" "$tls/file" <<'PY'
import hashlib, json, sys
predicate = json.load(open(sys.argv[1]))["predicate"]
materials = {m["uri"]: m["digest"] for m in predicate["buildDefinition"]["resolvedDependencies"]}
for uri in sys.argv[2:]:
    assert materials[uri]["sha256"] == hashlib.sha256(b"content of /file\n").hexdigest(), materials
metadata = predicate["runDetails"]["metadata"]
assert metadata["buildkit_metadata"]["network"] == {"mode": "proxy"}, metadata
PY
wait_for 10 gone || fail "left: $(left)"

cat >"$W/policy.json" <<P
{"rules": [{"action": "DENY", "selector": {"identifier": "$url/secret"}},
           {"action": "CONVERT", "selector": {"identifier": "$url/old"}, "updates": {"identifier": "$url/new"}}]}
P
build --proxy-network --source-policy-file "$W/policy.json" --opt target=denied 2>"$W/log" && fail "what a policy denies"
has "$W/log" "403 Forbidden"
build --proxy-network --source-policy-file "$W/policy.json" --opt target=converted 2>"$W/log" || { cat "$W/log" >&2; fail "converted"; }
has "$W/log" "- GET $url/new -> 200"

build --proxy-network --opt target=missing --opt attest:provenance=mode=max,complete-materials=true \
  --output type=local,dest="$W/none" 2>"$W/log" && fail "materials that are not complete"
has "$W/log" "provenance materials are incomplete"
has "$W/log" "url: $url/missing"
has "$W/log" "reason: unsuccessful_response"

# Cancelled in the middle of an answer.
build --proxy-network --opt target=endless 2>"$W/log" &
client=$!
wait_for 60 test -s "$W/port.endless" || { cat "$W/log" >&2; fail "the step does not run"; }
left | grep -q . || fail "no namespace while the step runs"
# A client that knows tunnels trusts it as the step does.
nsenter --net="$(left)" python3 - "$(find "$ROOT" -path '*/rootfs/etc/ssl/certs/ca-certificates.crt')" \
  "${tls##*:}" <<'PY' || fail "no tunnel through the proxy"
import http.client, ssl, sys
context = ssl.create_default_context()
open(sys.argv[1] + ".pem", "w").write("-----BEGIN" + open(sys.argv[1]).read().split("-----BEGIN", 1)[1])
context.load_verify_locations(sys.argv[1] + ".pem")
context.verify_flags |= ssl.VERIFY_X509_STRICT
connection = http.client.HTTPSConnection("10.89.0.1", 3128, context=context, timeout=20)
connection.set_tunnel("localhost", int(sys.argv[2]))
for path, status in ("/file", 200), ("/missing", 404), ("/new", 200):  # over one connection
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == status, answer.status
    assert answer.read() == b"content of " + path.encode() + b"\n"
PY
kill -TERM "$(pgrep -P $client)"  # the program, not the shell around it
wait $client && fail "a cancelled build"
wait_for 20 gone || fail "left after a cancelled build: $(left)"

# Killed there: the next daemon cleans up.
: >"$W/port.endless"
build --proxy-network --no-cache --opt target=endless 2>"$W/log" &
client=$!
wait_for 60 test -s "$W/port.endless" || { cat "$W/log" >&2; fail "the step does not run again"; }
daemon_kill9
wait $client && fail "a build whose daemon has died"
left | grep -q . || fail "nothing was left to clean up"
daemon_start --proxy-network
gone || fail "left after a restart: $(left)"

# For all builds, by the daemon.
build --no-cache --opt target=converted 2>"$W/log" && fail "$url/old is not there"
has "$W/log" "- GET $url/old -> 404"
