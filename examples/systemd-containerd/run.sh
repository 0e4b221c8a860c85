#!/usr/bin/env bash
# The deployment of README.md on one machine. Everything happens in mount, pid and network
# namespaces of its own: what it installs under /etc and /usr/local/bin is not the machine's,
# and nothing is left. As root. Status 77: this machine cannot, and why.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
top=$(cd ../.. && pwd)
bin=${KILN_BIN:-$top/build/release/bin}

if [ "${1:-}" != inside ]; then
  skip() { echo "SKIPPED: $*" >&2; exit 77; }
  [ "$(id -u)" = 0 ] || skip "root is needed"
  for program in containerd ctr docker-registry skopeo openssl systemd-socket-activate busybox; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
  work=$(mktemp -d /tmp/kiln-deploy-XXXXXX)
  trap 'rmdir "$work"' EXIT
  in_private=(unshare --mount --net --pid --fork --kill-child --mount-proc)
  "${in_private[@]}" true 2>/dev/null || skip "no namespaces can be made here"
  "${in_private[@]}" bash "$here/run.sh" inside "$work"
  exit
fi

work=$2
fail() { echo "FAILED: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }
wait_for() {  # wait_for SECONDS COMMAND…
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.05
  done
}
listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
tell() {
  local status=$?
  [ $status -eq 0 ] || tail -n 10 "$work"/*.log >&2 || true
  # Cgroups outlive the namespaces.
  ctr -a "$other" tasks kill -s KILL site >/dev/null 2>&1 && ctr -a "$other" tasks rm -f site >/dev/null 2>&1
  exit $status
}

step "folders that hide the machine's"
mount -t tmpfs -o mode=755 kiln "$work"
mkdir "$work"/{bin,lib,run,docker,base,certs,trusted}
cp -a /etc "$work/etc"
base=$("$top/tools/busybox-image" "$work/base")
for pair in etc:/etc bin:/usr/local/bin lib:/var/lib run:/run; do
  mount --bind "$work/${pair%%:*}" "${pair#*:}"
done
ip link set lo up
echo '127.0.0.1 localhost registry.example.com mirror.example.com insecure.example.com' >/etc/hosts
other=/run/containerd-2/containerd.sock
trap tell EXIT

step "the release's programs, linked into PATH"
mkdir -p /var/lib/kiln /etc/buildkit /etc/systemd/system
"$top/tools/release-tarball" "$bin" "$work/kiln.tar.gz"
tar -xzf "$work/kiln.tar.gz" -C /var/lib/kiln
ln -s /var/lib/kiln/bin/* /usr/local/bin/
hash -r
[ "$(command -v buildctl)" = /usr/local/bin/buildctl ] || fail "buildctl is not the installed one"

step "certificates, passwords"
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
(
  cd "$work/certs"
  openssl req -x509 "${key[@]}" -days 2 -subj "/CN=Example CA" -keyout ca.key -out ca.crt
  openssl req "${key[@]}" -subj /CN=registry -addext subjectAltName=DNS:registry.example.com \
    -keyout registry.key -out registry.csr
  openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
    -copy_extensions copy -out registry.crt
  openssl req -x509 "${key[@]}" -days 2 -subj /CN=nobody -keyout insecure.key -out insecure.crt
) 2>"$work/openssl.log"
cp "$work/certs/ca.crt" /etc/buildkit/ca.pem
cp "$work/certs/ca.crt" "$work/trusted/"
for user in registry insecure; do
  perl -e 'print "$ARGV[0]:", crypt("secret of $ARGV[0]", q($2y$05$KilnKilnKilnKilnKilnK.)), "\n"' \
    "$user" >"$work/$user.htpasswd"
done
auth() { printf '"%s": {"auth": "%s"}' "$1" "$(printf %s "$2:secret of $2" | base64)"; }
echo "{\"auths\": {$(auth registry.example.com registry), $(auth insecure.example.com:5443 insecure)}}" \
  >"$work/docker/config.json"
export DOCKER_CONFIG=$work/docker

step "registries: a mirror, one with TLS from our CA, one whose TLS nobody vouches for"
registry() {  # registry NAME PORT [tls]
  local more=
  [ -z "${3:-}" ] || more="
  tls: {certificate: $work/certs/$1.crt, key: $work/certs/$1.key}
auth: {htpasswd: {realm: $1, path: $work/$1.htpasswd}}"
  cat >"$work/$1.yml" <<Y
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry-$1}}
http:
  addr: 127.0.0.1:$2$more
Y
  docker-registry serve "$work/$1.yml" >>"$work/$1.log" 2>&1 &
  wait_for 20 listens "$2" || fail "registry $1 does not answer"
}
registry registry 443 tls
registry insecure 5443 tls
registry mirror 5000
mirror=$!
skopeo copy -q --dest-cert-dir "$work/trusted" --dest-creds "registry:secret of registry" \
  "oci:$work/base:latest" docker://registry.example.com/base:1
skopeo copy -q --dest-tls-verify=false "oci:$work/base:latest" docker://mirror.example.com:5000/base:1

step "containerd for the builder, and another where the image will run"
cp containerd.toml "$work/"
sed 's,/containerd",/containerd-2",; s,/containerd/,/containerd-2/,' containerd.toml >"$work/containerd-2.toml"
for name in containerd containerd-2; do
  containerd --config "$work/$name.toml" >"$work/$name.log" 2>&1 &
  wait_for 20 ctr -a "/run/$name/containerd.sock" version || fail "$name does not answer"
done
mkdir -p "$work/hosts/registry.example.com"
printf '[host."https://registry.example.com"]\n  ca = "%s"\n' "$work/certs/ca.crt" \
  >"$work/hosts/registry.example.com/hosts.toml"

step "units"
cp buildkit.socket buildkitd.service /etc/systemd/system/
cp buildkitd.toml /etc/buildkit/
if command -v systemd-analyze >/dev/null; then
  systemd-analyze verify --man=no /etc/systemd/system/buildkit.socket /etc/systemd/system/buildkitd.service
fi

setting() { sed -n "s/^$1=//p" /etc/systemd/system/"$2"; }
daemon_start() {  # as systemd would: the socket first, the daemon with the first client
  local socket
  socket=$(setting ListenStream buildkit.socket)
  socket=${socket/\%t//run}
  mkdir -p "$(dirname "$socket")"
  rm -f "$socket" "$work/notify" "$work/ready"
  python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(s.recv(64).decode(), flush=True)' "$work/notify" >"$work/ready" &
  wait_for 10 test -S "$work/notify" || fail "no socket for readiness"
  # shellcheck disable=SC2046
  systemd-socket-activate --listen="$socket" -E NOTIFY_SOCKET="$work/notify" \
    $(setting ExecStart buildkitd.service) >>"$work/buildkitd.log" 2>&1 &
  daemon=$!
  wait_for 10 test -S "$socket" || fail "no socket"
  ! pgrep -x buildkitd >/dev/null || fail "the daemon runs before anybody has asked"
  buildctl debug workers -v >"$work/workers"
  wait_for 10 grep -qx READY=1 "$work/ready" || fail "the daemon does not report that it is ready"
}
daemon_stop() {
  kill -TERM "$daemon"
  wait "$daemon" || true
}
build() {  # build OUTPUT [ARGS…]
  local output=$1
  shift
  buildctl build --progress=plain --frontend dockerfile.v0 --local context="$here" --local dockerfile="$here" \
    --output "$output" "$@" >>"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; fail "the build"; }
}
asked() { grep -c "GET /v2/base/\|HEAD /v2/base/" "$work/$1.log" || true; }
page() { python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8080/").read().decode(), end="")'; }

deploy() {  # deploy WORKER
  local image=registry.example.com/site/$1:1 other_name=insecure.example.com:5443/site/$1:1 before
  daemon_start
  grep -qE "worker.executor:\s+$1\$" "$work/workers" || { cat "$work/workers" >&2; fail "the worker is another"; }

  before=$(asked registry)
  build "type=image,name=$image,push=true"
  [ "$(asked mirror)" -gt 0 ] || fail "the mirror was not asked"
  [ "$(asked registry)" = "$before" ] || fail "the registry was asked although its mirror answers"
  build "type=image,name=$other_name,push=true"
  if [ "$1" = containerd ]; then
    ctr -n buildkit images ls -q | grep -qxF "$image" || fail "containerd does not know the image"
  fi

  kill "$mirror"
  wait "$mirror" || true
  buildctl prune --all >/dev/null
  build "type=image,name=$image-2,push=true"
  [ "$(asked registry)" -gt "$before" ] || fail "the registry was not asked when its mirror had failed"
  registry mirror 5000
  mirror=$!

  ctr -a "$other" images pull --hosts-dir "$work/hosts" -u "registry:secret of registry" "$image" >"$work/pull.log"
  ctr -a "$other" run -d --net-host "$image" site
  wait_for 10 listens 8080 || fail "the image does not serve"
  page | tee "$work/page"
  printf '%s\nBuilt in a step of buildkitsandbox.\n' "$(cat index.html)" | cmp - "$work/page"
  ctr -a "$other" tasks kill -s KILL site
  wait_for 10 ctr -a "$other" tasks rm site
  ctr -a "$other" containers rm site

  daemon_stop
  ! grep " /var/lib/buildkit/" /proc/self/mountinfo || fail "mounts are left"
  [ -z "$(ctr -n buildkit containers ls -q)" ] || fail "containers are left"
}

step "build, push, pull, run: steps in containerd"
deploy containerd

step "the same with the default worker"
rm -rf /var/lib/buildkit
sed -i 's/--oci-worker=false --containerd-worker=true/--oci-worker=true --containerd-worker=false/' \
  /etc/systemd/system/buildkitd.service
: >"$work/mirror.log"
deploy oci
