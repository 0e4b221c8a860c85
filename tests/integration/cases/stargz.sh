# An image of eStargz layers is a base without being fetched: a step brings in the files that
# it reads, and no more; what is exported is the same as ever.
. "$(dirname "$0")/../lib.sh"
[ $WORKER = oci ] || skip "the OCI worker's snapshotter"
[ -c /dev/fuse ] && (exec 3<>/dev/fuse) 2>/dev/null || skip "no /dev/fuse"
registry_start
mkdir -p "$W/ctx/data/deep"
for i in 1 2 3; do head -c 8000000 /dev/urandom >"$W/ctx/data/large$i"; done
for i in $(seq 300); do echo "file $i" >"$W/ctx/data/deep/f$i"; done
echo few >"$W/ctx/data/small"
dockerfile <<'D'
FROM base
COPY data /data
RUN ln -s small /data/link && ln /data/small /data/hard && chmod 4711 /data/hard && chown 7:8 /data/deep && \
    mkdir /gone && touch /gone/too
RUN rm -r /gone /data/deep/f7 && mkdir -m 0700 /gone && mkfifo /data/fifo
D
pushed=oci-mediatypes=true,push=true,registry.insecure=true
daemon_start
build --output "type=image,name=$REG/k/lazy:1,compression=estargz,force-compression=true,$pushed" 2>"$W/log" ||
  { cat "$W/log" >&2; fail "the export"; }
build --output "type=image,name=$REG/k/plain:1,compression=gzip,force-compression=true,$pushed" 2>"$W/log"
daemon_stop
forget_all

# Bytes of blobs that the registry has sent so far.
served() {
  python3 - "$W/registry.log" <<'PY'
import re, sys
total = 0
for line in open(sys.argv[1]):
    if "/blobs/sha256" in line and "response completed" in line and "http.request.method=GET" in line:
        total += int(re.search(r"http.response.written=(\d+)", line)[1])
print(total)
PY
}
lazy() { daemon_start --oci-worker-snapshotter=stargz --debug; }
try() { build --output "$1" 2>"$W/log" || { cat "$W/log" >&2; fail "the build of $1"; }; }
mounted() { grep -c " $ROOT/.* fuse.stargz " /proc/self/mountinfo || true; }
# step FILE…: a step over the lazy image reads them; sets part to the bytes that it cost.
step() {
  dockerfile <<D
FROM $REG/k/lazy:1 AS step
RUN cat $* >/made
FROM scratch
COPY --from=step /made /
D
  local before
  before=$(served)
  rm -rf "$W/out"
  try "type=local,dest=$W/out"
  part=$(($(served) - before))
}

# What an unpacked image gives.
printf 'FROM %s/k/lazy:1\n' "$REG" >"$W/ctx/Dockerfile"
before=$(served)
daemon_start --oci-worker-snapshotter=overlayfs
try "type=tar,dest=$W/whole.tar"
daemon_stop
forget_all
whole=$(($(served) - before))
[ $whole -gt 24000000 ] || fail "the registry's log says $whole bytes of the whole image"

# A step reads one small file.
lazy
"$BUILDCTL" debug workers -v | tr -d '\t ' | grep -qx org.mobyproject.buildkit.worker.snapshotter:stargz || fail "another snapshotter"
step /data/small /data/link
[ "$(cat "$W/out/made")" = "$(printf 'few\nfew')" ] || fail "the step read something else"
[ $part -lt $((whole / 8)) ] || fail "$part of $whole bytes were fetched for a small file"
[ "$(mounted)" -ge 3 ] || { cat /proc/self/mountinfo >&2; fail "the layers are not mounted"; }
has "$W/buildkitd.log" "a layer is used from afar"
has_not "$W/log" extracting
[ "$("$BUILDCTL" du | sed -n 's/^Total:[[:space:]]*//p' | grep -cE '^([0-9.]+kB|[0-4]\.[0-9]*MB)$')" = 1 ] ||
  { "$BUILDCTL" du >&2; fail "the size on disk"; }

# The step is cached over restarts, and what it did not read is still to be had.
again() {  # again WHEN N
  step /data/small /data/link
  [ "$(cached "$W/log")" -ge 1 ] || { cat "$W/log" >&2; fail "$1: the step is not cached"; }
  step "/data/deep/f$2"
  [ "$(cat "$W/out/made")" = "file $2" ] || fail "$1: another file"
  [ $part -lt $((whole / 8)) ] || fail "$1: $part of $whole bytes were fetched for a small file"
}
again "at once" 8
daemon_stop
[ "$(mounted)" = 0 ] || fail "a mount is left behind"
lazy
again "after a restart" 9
printf 'FROM %s/k/lazy:1\nRUN sleep 60; cat /data/deep/*\n' "$REG" >"$W/ctx/Dockerfile"
build >"$W/log1" 2>&1 &
build_pid=$!
wait_for 20 a_step_runs || fail "no step begins"
daemon_kill9
wait "$build_pid" 2>/dev/null || true
lazy
[ "$(mounted)" = 0 ] || fail "dead mounts are left after a kill"
again "after a kill" 10

# Exports: the files through the mounts, the layers as they are in the registry.
printf 'FROM %s/k/lazy:1\n' "$REG" >"$W/ctx/Dockerfile"
try "type=tar,dest=$W/lazy.tar"
cmp "$W/whole.tar" "$W/lazy.tar" || { diff <(tar -tvf "$W/whole.tar") <(tar -tvf "$W/lazy.tar") >&2 || true; fail "another tar"; }
"$BUILDCTL" prune --all >/dev/null
[ "$(mounted)" = 0 ] || fail "what was pruned is mounted"
dockerfile <<D
FROM $REG/k/lazy:1
RUN ln /data/large2 /data/again && rm /data/small && mv /data/deep /data/deeper
CMD ["md5sum", "/data/large1", "/data/again", "/data/deeper/f9"]
D
try "type=oci,dest=$W/lazy.oci"
(cd "$W/ctx" && md5sum data/large1 data/large2 data/deep/f9 | cut -d' ' -f1) >"$W/sums"
run_image "$W/lazy.oci" | cut -d' ' -f1 >"$W/sums2"
cmp "$W/sums" "$W/sums2" || fail "the image has other files"

# Layers of a cache are used so too.
dockerfile <<'D'
FROM base
COPY data /data
RUN touch /ran
D
remote=type=registry,ref=$REG/k/cache
build --export-cache "$remote,mode=max,compression=estargz,force-compression=true,oci-mediatypes=true" 2>"$W/log" ||
  { cat "$W/log" >&2; fail "the cache export"; }
"$BUILDCTL" prune --all >/dev/null
echo 'RUN cat /data/small >/made' >>"$W/ctx/Dockerfile"
before=$(served)
build --import-cache "$remote" 2>"$W/log" || { cat "$W/log" >&2; fail "the cache import"; }
[ "$(cached "$W/log")" -ge 2 ] || { cat "$W/log" >&2; fail "steps of the cache are run"; }
part=$(($(served) - before))
[ $part -lt $((whole / 8)) ] || { tail "$W/buildkitd.log" >&2; fail "$part bytes of the cache were fetched for a small file"; }

# Other layers are fetched, and the log says why.
printf 'FROM %s/k/plain:1\nRUN test -p /data/fifo\n' "$REG" >"$W/ctx/Dockerfile"
build 2>"$W/log" || fail "an image of other layers"
has "$W/buildkitd.log" "the manifest has no digest of a table of contents"

# A registry that goes away fails who reads, in no time, and only until it is back.
"$BUILDCTL" prune --all >/dev/null
cat >"$W/ctx/Dockerfile" <<D
FROM $REG/k/lazy:1
RUN cat /data/small && while busybox wget -q -O /dev/null http://$REG/v2/; do sleep 0.1; done && cat /data/large3 >/made
D
build >"$W/log1" 2>&1 &
build_pid=$!
wait_for 20 grep -q "[0-9] few" "$W/log1" || { cat "$W/log1" >&2; fail "no step begins"; }
kill -KILL $registry_pid
wait $registry_pid 2>/dev/null || true
SECONDS=0
! wait $build_pid || fail "it was read from nowhere"
[ $SECONDS -lt 20 ] || fail "the reader waited $SECONDS s"
grep -q "I/O error\|Input/output error" "$W/log1" || { cat "$W/log1" >&2; fail "what the reader says"; }
has "$W/buildkitd.log" "cannot read a layer that is used from afar"
registry_again() {
  docker-registry serve "$W/registry.yml" >>"$W/registry.log" 2>&1 &
  registry_pid=$!
  wait_for 20 bash -c "exec 3<>/dev/tcp/${REG/://}" 2>/dev/null || fail "the registry is not back"
}
registry_again
step /data/small /data/deep/f11
[ "$(cat "$W/out/made")" = "$(printf 'few\nfile 11')" ] || fail "another file after the registry was away"

# Credentials are those of the client that is there when a file is read.
kill -KILL $registry_pid
wait $registry_pid 2>/dev/null || true
echo "user:$(python3 -W ignore -c 'import crypt; print(crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))')" >"$W/htpasswd"
echo "auth: {htpasswd: {realm: private, path: $W/htpasswd}}" >>"$W/registry.yml"
registry_again
! python3 -c "import urllib.request; urllib.request.urlopen('http://$REG/v2/')" 2>/dev/null || fail "the registry asks for nothing"
mkdir -p "$DOCKER_CONFIG"
printf '{"auths": {"%s": {"auth": "%s"}}}' "$REG" "$(printf user:secret | base64)" >"$DOCKER_CONFIG/config.json"
"$BUILDCTL" prune --all >/dev/null
step /data/small /data/link
again "with credentials" 12
daemon_stop
[ "$(mounted)" = 0 ] || fail "a mount is left behind at the end"
lazy
again "with credentials after a restart" 13
daemon_stop
