# A registry behind a token server: the client fetches the tokens with its credentials, the
# daemon uses them; without credentials, and with wrong ones, the build says so.
. "$(dirname "$0")/../lib.sh"
cat >"$W/registry.py" <<'PY'
import base64, http.server, json, os, sys, urllib.parse
layout, log = sys.argv[1], open(sys.argv[2], "a", buffering=1)
index = json.load(open(layout + "/index.json"))["manifests"][0]
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass
    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def token(self, query, who):
        log.write("token %s %s\n" % (who, " ".join(query.get("scope", []))))
        if who != "user:pass word":
            return self.answer(401, b"{}")
        self.answer(200, json.dumps({"token": "sesame", "access_token": "sesame", "expires_in": 300}).encode(),
                    Content_Type="application/json")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = urllib.parse.parse_qs(body)
        self.token(query, "%s:%s" % (query.get("username", [""])[0], query.get("password", [""])[0]))
    def do_HEAD(self):
        self.do_GET()
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/token":
            basic = self.headers.get("Authorization", "")
            who = base64.b64decode(basic[6:]).decode() if basic.startswith("Basic ") else "nobody"
            return self.token(urllib.parse.parse_qs(query), who)
        if self.headers.get("Authorization") != "Bearer sesame":
            here = "http://" + self.headers["Host"]
            scope = ',scope="repository:base:pull"' if path != "/v2/" else ""
            return self.answer(401, b"{}", WWW_Authenticate='Bearer realm="%s/token",service="case"%s' % (here, scope))
        name = path.rpartition("/")[2]
        log.write("served %s %s\n" % (self.command, path))
        if "/manifests/" in path:
            digest = name if name.startswith("sha256:") else index["digest"]
            body = open(layout + "/blobs/" + digest.replace(":", "/"), "rb").read()
            return self.answer(200, body, Content_Type=json.loads(body).get("mediaType", index["mediaType"]),
                               Docker_Content_Digest=digest)
        if "/blobs/" in path and os.path.exists(layout + "/blobs/" + name.replace(":", "/")):
            return self.answer(200, open(layout + "/blobs/" + name.replace(":", "/"), "rb").read(),
                               Content_Type="application/octet-stream")
        self.answer(200 if path == "/v2/" else 404)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[3], "w").write(str(server.server_port))
server.serve_forever()
PY
python3 "$W/registry.py" "$BASE" "$W/asked" "$W/port" &
extra_pids="$extra_pids $!"
wait_for 10 test -s "$W/port" || fail "no registry"
REG=127.0.0.1:$(cat "$W/port")
daemon_start
dockerfile <<D
FROM $REG/base:1
RUN echo pulled
D
login() { # login USER:PASSWORD
  mkdir -p "$DOCKER_CONFIG"
  printf '{"auths": {"%s": {"auth": "%s"}}}' "$REG" "$(printf %s "$1" | base64 -w0)" >"$DOCKER_CONFIG/config.json"
}
pull() { # a build by a session of its own
  "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" "$@" >"$W/log" 2>&1
}

! pull || fail "nobody may pull"
has "$W/log" "401 Unauthorized"
login "user:wrong"
! pull || fail "a wrong password is taken"
has "$W/log" "401 Unauthorized"
has "$W/asked" "token user:wrong repository:base:pull"
has_not "$W/asked" served

login "user:pass word"
pull || { cat "$W/log"; fail "the password is not taken"; }
has "$W/asked" "token user:pass word repository:base:pull"
has "$W/asked" "served GET /v2/base/blobs/"
# Another session has to be let in itself, also for what the daemon has by now.
rm -r "$DOCKER_CONFIG"
! pull --no-cache || fail "nobody may pull what somebody else has pulled"
