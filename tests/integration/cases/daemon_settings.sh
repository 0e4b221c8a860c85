# Settings of the daemon that show from outside: the socket's owner, systemd's notices, which
# worker there is and how it is labelled, how many steps run at once, their cgroup, how much of
# their output is kept; and images of several platforms, for which no step runs.
. "$(dirname "$0")/../lib.sh"

# Word to systemd, and a group for the socket.
python3 -c "
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('$W/notify')
log = open('$W/notices', 'w', buffering=1)
while True:
    log.write(s.recv(4096).decode() + '\n')" &
extra_pids="$extra_pids $!"
wait_for 10 test -S "$W/notify" || fail "nobody listens"
NOTIFY_SOCKET=$W/notify daemon_start --group nogroup --oci-worker-labels com.example.kiln=label
wait_for 10 grep -q "^READY=1" "$W/notices" || fail "systemd is not told that the daemon is ready"
has_not "$W/notices" STOPPING
[ "$(stat -c %G "$SOCK")" = nogroup ] || fail "the socket is of group $(stat -c %G "$SOCK")"
[ "$(stat -c %a "$SOCK")" = 660 ] || fail "the socket's mode is $(stat -c %a "$SOCK")"
"$BUILDCTL" debug workers -v >"$W/workers"
grep -qE 'com\.example\.kiln:\s+label' "$W/workers" || { cat "$W/workers" >&2; fail "no label"; }
daemon_stop
wait_for 10 grep -q "^STOPPING=1" "$W/notices" || fail "systemd is not told that the daemon ends"

# Owner and group by number; labels, cgroup and parallelism by the file.
cat >"$W/buildkitd.toml" <<T
[grpc]
  uid = 12345
  gid = 23456
[worker.$WORKER]
  max-parallelism = 1
  defaultCgroupParent = "kiln-case-$$"
  [worker.$WORKER.labels]
    "com.example.file" = "too"
T
# The second of these fails while the first one runs.
dockerfile <<'D'
FROM base AS one
ARG N
RUN --mount=type=cache,target=/c mkdir /c/$N && sleep 3 && rmdir /c/$N && cat /proc/self/cgroup >/group
FROM base AS two
ARG N
RUN --mount=type=cache,target=/c mkdir /c/$N && sleep 3 && rmdir /c/$N && touch /two
FROM scratch
COPY --from=one /group /
COPY --from=two /two /
D
daemon_start --config "$W/buildkitd.toml"
[ "$(stat -c %u:%g "$SOCK")" = 12345:23456 ] || fail "the socket is of $(stat -c %u:%g "$SOCK")"
"$BUILDCTL" debug workers -v >"$W/workers"
grep -qE 'com\.example\.file:\s+too' "$W/workers" || { cat "$W/workers" >&2; fail "no label"; }
build --opt build-arg:N=limited --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "more than one step at once"; }
has "$W/out/group" "/kiln-case-$$/"
daemon_stop
no_groups() { find /sys/fs/cgroup -depth -type d -path "*/kiln-case-$$*" -exec rmdir {} + 2>/dev/null || true; }
no_groups
BUILDKIT_STEP_LOG_MAX_SIZE=1000 daemon_start
! build --opt build-arg:N=free 2>"$W/log" || fail "one step after the other, although nothing says so"

# Output of steps: clipped at the size that the daemon's environment names.
printf 'FROM base\nRUN seq 5000; echo the end\n' >"$W/ctx/Dockerfile"
build 2>"$W/log"
has "$W/log" " 100"
has "$W/log" "[output clipped, log limit 1000B reached]"
grep -qE '^#[0-9]+ [0-9.]+ 1000$' "$W/log" && fail "more than 1000 bytes come"

daemon_stop
# By the second, from the step's start: what comes after a while has room again.
printf 'FROM base\nRUN seq 600; sleep 3; echo after a while\n' >"$W/ctx/Dockerfile"
BUILDKIT_STEP_LOG_MAX_SPEED=1000 daemon_start
build --no-cache 2>"$W/log"
has "$W/log" "[output clipped, log limit 1000B/s reached]"
grep -qE '^#[0-9]+ [0-9.]+ 599$' "$W/log" && fail "more than 1000 bytes in the first second"
has "$W/log" " 100"
grep -qE '^#[0-9]+ [0-9.]+ after a while$' "$W/log" || { cat "$W/log" >&2; fail "nothing comes later"; }

# Platforms: of an index, and a variant among them.
cat >"$W/ctx/Dockerfile" <<'D'
FROM scratch
ARG TARGETPLATFORM TARGETARCH TARGETVARIANT
LABEL of="$TARGETPLATFORM $TARGETARCH $TARGETVARIANT"
COPY Dockerfile /
D
build --opt platform=linux/amd64,linux/amd64/v2,linux/arm64,linux/arm/v7 --output type=oci,dest="$W/out.tar" 2>"$W/log"
python3 - "$W/out.tar" <<'PY' >"$W/platforms"
import json, sys, tarfile
tar = tarfile.open(sys.argv[1])
read = lambda digest: json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))
top = json.load(tar.extractfile("index.json"))["manifests"][0]
for entry in read(top["digest"])["manifests"]:
    if entry["platform"]["architecture"] == "unknown":
        continue  # an attestation
    config = read(read(entry["digest"])["config"]["digest"])
    platform = entry["platform"]
    print(platform["os"], platform["architecture"], platform.get("variant", "-"),
          config["architecture"], config.get("variant", "-"), "|", config["config"]["Labels"]["of"].strip())
PY
diff "$W/platforms" - <<'P' || fail "other platforms"
linux amd64 - amd64 - | linux/amd64 amd64
linux amd64 v2 amd64 v2 | linux/amd64/v2 amd64 v2
linux arm64 - arm64 - | linux/arm64 arm64
linux arm v7 arm v7 | linux/arm/v7 arm v7
P
daemon_stop

# Workers: what is not there is left out, and one there must be.
"$BUILDKITD" --root "$ROOT" --addr "$BUILDKIT_HOST" --oci-worker-net=host --otel-socket-path "$W/otel2.sock" \
  --containerd-worker-addr "$W/nothing.sock" >"$W/log" 2>&1 &
daemon_pid=$!
wait_for 20 "$BUILDCTL" debug workers -v >"$W/workers" 2>/dev/null || { cat "$W/log" >&2; fail "no daemon with what there is"; }
grep -qE 'worker.executor:\s+oci' "$W/workers" || { cat "$W/workers" >&2; fail "another worker"; }
has "$W/log" "skipping containerd worker"
daemon_stop
! timeout 20 "$BUILDKITD" --root "$ROOT" --addr "$BUILDKIT_HOST" --oci-worker=false --containerd-worker=false >"$W/log" 2>&1 ||
  fail "a daemon without a worker"
has "$W/log" "no worker found"
# A machine without runc, on which containerd is not found either.
mkdir "$W/empty"
! PATH=$W/empty "$(command -v timeout)" 20 "$BUILDKITD" --root "$ROOT" --addr "$BUILDKIT_HOST" --oci-worker-net=host \
  --containerd-worker-addr "$W/nothing.sock" >"$W/log" 2>&1 || fail "a daemon without runc"
has "$W/log" "skipping oci worker, as runc does not exist"
has "$W/log" "no worker found"
