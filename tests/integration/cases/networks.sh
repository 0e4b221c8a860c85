# Networks of steps: the built-in bridge with NAT, CNI by a configuration, host and none for
# single steps; names resolve in each, and nothing of it stays after an end or a crash.
. "$(dirname "$0")/../lib.sh"
CNI=/usr/lib/cni
[ -x $CNI/bridge ] && [ -x $CNI/host-local ] || skip "no CNI plugins in $CNI"
command -v iptables >/dev/null && iptables -t nat -L >/dev/null 2>&1 || skip "no NAT on this machine"
TAG=$(printf %05x $(($$ % 1048576)))
BRIDGE=kb$TAG FAR=kiln-far-$TAG NAT_NET=10.$((100 + $$ % 100)).$(($$ / 100 % 250)).0/24

# A machine elsewhere: it knows no way back to the steps' addresses, so that only what is
# translated gets an answer.
ip netns add "$FAR"
undo() {
  ip netns pids "$FAR" 2>/dev/null | xargs -r kill -KILL
  ip netns del "$FAR" 2>/dev/null || true
  ip link del "kh$TAG" 2>/dev/null || true
  ip link del "$BRIDGE" 2>/dev/null || true
  ip link del "c$BRIDGE" 2>/dev/null || true
}
trap 'undo; finish' EXIT
ip link add "kh$TAG" type veth peer name far0 netns "$FAR"
THIRD=$(($$ % 64 * 4))
ip addr add "192.0.2.$((THIRD + 2))/30" dev "kh$TAG" && ip link set "kh$TAG" up
ip -n "$FAR" addr add "192.0.2.$((THIRD + 1))/30" dev far0
ip -n "$FAR" link set far0 up && ip -n "$FAR" link set lo up
SERVER=192.0.2.$((THIRD + 1))
cat >"$W/server.py" <<'PY'
import http.server, socket, struct, sys, threading
address = sys.argv[1]
def names():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        question, peer = sock.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        kind = struct.unpack(">H", question[end - 4:end - 2])[0]
        known = question[12:].lower().startswith(b"\4kiln\4test\0")
        answers = 1 if known and kind == 1 else 0
        reply = question[:2] + struct.pack(">HHHHH", 0x8580 | (0 if known else 3), 1, answers, 0, 0)
        reply += question[12:end]
        if answers:
            reply += struct.pack(">HHHIH", 0xc00c, 1, 1, 60, 4) + socket.inet_aton(address)
        sock.sendto(reply, peer)
threading.Thread(target=names, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("from " + self.client_address[0] + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((address, 80), Handler).serve_forever()
PY
ip netns exec "$FAR" python3 "$W/server.py" "$SERVER" 2>"$W/server.log" &
extra_pids="$extra_pids $!"
answers() { python3 -c "import urllib.request; urllib.request.urlopen('http://$SERVER/', timeout=2)" 2>/dev/null; }
wait_for 10 answers || { cat "$W/server.log"; fail "the far machine does not answer"; }
dns() { printf '[dns]\n  nameservers = ["%s"]\n  options = ["timeout:2"]\n[worker.%s]\n  cniBinaryPath = "%s"\n' "$SERVER" $WORKER $CNI; }

links() { ip -o link show master "$1" 2>/dev/null | wc -l; }
namespaces() { find "$ROOT" -path '*/net/cni/*' -type f | wc -l; }
seen() {  # seen NAME COMMAND: what the command prints in a step, behind its name
  printf 'FROM base\nRUN %s%s\n' "$1" "$2" >"$W/ctx/Dockerfile"
  build --no-cache --allow network.host "${@:3}" >"$W/log" 2>&1
}
all_ways() {
  local ask="nslookup kiln.test | grep -q 'Address.* $SERVER\$' && wget -q -O- http://$SERVER/ && ip -4 -o addr && cat /etc/resolv.conf"
  mkdir -p "$W/ctx"
  seen "" "$ask" || { cat "$W/log"; fail "$1: the default network"; }
  # Translated to the address of this machine's end.
  has "$W/log" "from 192.0.2.$((THIRD + 2))"
  has "$W/log" "$2"
  has "$W/log" "nameserver $SERVER"
  has_not "$W/log" "kh$TAG"
  seen "--network=host " "$ask" || { cat "$W/log"; fail "$1: the host's network"; }
  has "$W/log" "kh$TAG"
  seen "--network=none " "! wget -q -T 2 -O- http://$SERVER/ && ! ip -4 -o addr | grep -v ' lo ' && echo all alone" ||
    { cat "$W/log"; fail "$1: no network"; }
  has "$W/log" "all alone"
}

{ dns; printf '  bridgeName = "%s"\n  bridgeSubnet = "%s"\n' "$BRIDGE" "$NAT_NET"; } >"$W/bridge.toml"
NET=bridge daemon_start --config "$W/bridge.toml" --allow-insecure-entitlement network.host
ip -o link show "$BRIDGE" >/dev/null || fail "no bridge"
all_ways bridge "${NAT_NET%.*}."
daemon_stop
! ip -o link show "$BRIDGE" >/dev/null 2>&1 || fail "the bridge stays"
[ "$(namespaces)" = 0 ] || fail "namespaces stay: $(namespaces)"

# As RootlessKit's --detach-netns leaves it: the namespace for steps is not the daemon's.
mkdir "$W/kit"
ln -s "/run/netns/$FAR" "$W/kit/netns"
ROOTLESSKIT_STATE_DIR=$W/kit NET=bridge daemon_start --config "$W/bridge.toml" --allow-insecure-entitlement network.host
ip -n "$FAR" -o link show "$BRIDGE" >/dev/null || fail "no bridge in the detached namespace"
! ip -o link show "$BRIDGE" >/dev/null 2>&1 || fail "a bridge in the daemon's namespace"
seen "" "nslookup kiln.test | grep -q 'Address.* $SERVER\$' && wget -q -O- http://$SERVER/" || { cat "$W/log"; fail "the detached network"; }
has "$W/log" "from ${NAT_NET%.*}."
daemon_stop
! ip -n "$FAR" -o link show "$BRIDGE" >/dev/null 2>&1 || fail "the bridge stays in the detached namespace"
[ "$(namespaces)" = 0 ] || fail "namespaces stay: $(namespaces)"

cat >"$W/cni.conflist" <<J
{"cniVersion": "0.4.0", "name": "kiln-$TAG", "plugins": [
  {"type": "bridge", "bridge": "c$BRIDGE", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$W/ipam", "ranges": [[{"subnet": "$NAT_NET"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}}]}
J
{ dns; printf '  cniConfigPath = "%s"\n  cniPoolSize = 3\n' "$W/cni.conflist"; } >"$W/cni.toml"
cni() { NET=cni daemon_start --config "$W/cni.toml" --allow-insecure-entitlement network.host; }
cni
pooled() { [ "$(namespaces)" -ge 3 ]; }
wait_for 20 pooled || fail "the pool is not filled: $(namespaces)"
all_ways cni "${NAT_NET%.*}."
# What a crash in the middle of a step leaves goes with the next start.
printf 'FROM base\nRUN echo started; sleep 1000\n' >"$W/ctx/Dockerfile"
build --no-cache >"$W/log" 2>&1 &
client=$!
wait_for 30 grep -qF started "$W/log" || { cat "$W/log"; fail "the step does not start"; }
ls "$W"/ipam/kiln-*/ >"$W/leases"
daemon_kill9
wait $client 2>/dev/null || true
cni
wait_for 20 pooled || fail "the pool is not filled again"
few() { [ "$(links "c$BRIDGE")" -le 4 ] && [ "$(namespaces)" -le 4 ]; }
wait_for 10 few || fail "after the crash: $(links "c$BRIDGE") links, $(namespaces) namespaces"
all_ways "cni again" "${NAT_NET%.*}."
daemon_stop
[ "$(namespaces)" = 0 ] || fail "namespaces stay: $(namespaces)"
[ "$(links "c$BRIDGE")" = 0 ] || fail "links stay"
[ -z "$(ls "$W"/ipam/kiln-*/ 2>/dev/null | grep '^[0-9]*\.[0-9]')" ] || fail "addresses stay taken"
! iptables-save -t nat 2>/dev/null | grep -F "kiln-$TAG" || fail "rules stay"
