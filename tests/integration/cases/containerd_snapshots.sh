# The containerd worker's trees are snapshots of containerd, in any of its snapshotters, and its
# blobs are containerd's content: the collector takes nothing that is in use and all that was
# pruned, whether the daemon ended in order or not.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
snapshotters="overlayfs native"
if command -v mkfs.btrfs >/dev/null; then
  mkdir -p "$W/ctd-root/io.containerd.snapshotter.v1.btrfs"
  truncate -s 300M "$W/btrfs.img"
  mkfs.btrfs -q "$W/btrfs.img" >"$W/log"
  ! mount -o loop "$W/btrfs.img" "$W/ctd-root/io.containerd.snapshotter.v1.btrfs" || snapshotters="$snapshotters btrfs"
fi
echo "snapshotters: $snapshotters"
containerd_start
dockerfile <<'D'
FROM base AS one
ARG N=1
RUN --mount=type=cache,target=/c echo kept >/c/kept; echo one $N >/one
RUN mkdir /d && echo a >/d/a
FROM base AS two
COPY two /two
RUN cat /two >/again
FROM one
COPY --from=two /again /two
RUN --mount=type=cache,target=/c rm /one && cat /c/kept >/three
D
echo two >"$W/ctx/two"
S=
snapshots() { ctd snapshots --snapshotter "$S" ls | tail -n +2; }
none() { [ -z "$(snapshots)" ]; }
# Folders of the snapshotter itself.
folders() { ls "$W/ctd-root/io.containerd.snapshotter.v1.$S/snapshots"; }
no_folders() { [ -z "$(folders)" ]; }
blobs() { ctd content ls -q; }
no_blobs() { [ -z "$(blobs)" ]; }
layers_of() {  # layers_of OCI_TAR
  python3 - "$1" <<'PY'
import json, sys, tarfile
tar = tarfile.open(sys.argv[1])
def read(digest):
    return json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))
top = json.load(tar.extractfile("index.json"))["manifests"][0]["digest"]
found = read(top)
for manifest in [found] if "layers" in found else [read(m["digest"]) for m in found["manifests"]]:
    for layer in manifest["layers"]:
        if "in-toto" not in layer["mediaType"]:
            print(layer["digest"])
PY
}
collect() { ctd content prune references >/dev/null; }
check() {  # check STEPS: builds, all but the first of the steps are cached
  rm -rf "$W/out"
  build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "$S: the build"; }
  [ "$(cat "$W/out/two")-$(cat "$W/out/three")-$(cat "$W/out/d/a")" = two-kept-a ] || fail "$S: another tree"
  [ ! -e "$W/out/one" ] || fail "$S: a removed file is back"
  [ "$(cached "$W/log")" -ge "$1" ] || { cat "$W/log" >&2; fail "$S: $(cached "$W/log") steps are cached, not $1"; }
}
free_all() {
  "$BUILDCTL" prune --all >/dev/null
  "$BUILDCTL" prune-histories >/dev/null
  wait_for 10 none || { snapshots >&2; fail "$S: snapshots are left"; }
  wait_for 10 no_folders || { folders >&2; fail "$S: folders are left"; }
  wait_for 10 no_blobs || { ctd content ls >&2; fail "$S: blobs are left"; }
}

for S in $snapshotters; do
  daemon_start_containerd --containerd-worker-snapshotter=$S
  check 0
  [ "$(snapshots | grep -c Committed)" -ge 5 ] || { snapshots >&2; fail "$S: the trees are not in containerd"; }
  [ "$(snapshots | awk 'NF > 2' | wc -l)" -ge 4 ] || { snapshots >&2; fail "$S: no tree lies on another"; }
  [ -z "$(find "$ROOT" -xdev -name kept -o -name again)" ] || fail "$S: trees are under the daemon's root"
  [ -n "$(ctd leases ls -q)" ] || fail "$S: no lease"

  build --output "type=oci,dest=$W/image.tar" 2>"$W/log" || { cat "$W/log" >&2; fail "$S: the export"; }
  layers_of "$W/image.tar" | sort -u >"$W/exported"
  blobs | sort >"$W/stored"
  [ -s "$W/exported" ] && [ -z "$(comm -23 "$W/exported" "$W/stored")" ] || { cat "$W/exported" "$W/stored" >&2; fail "$S: layers are not in containerd"; }

  # Its collector takes nothing of it, while the daemon is there and while it is not.
  collect
  check 6
  daemon_stop
  collect
  containerd_end TERM
  containerd_start
  # What only the history has by now is in its own namespace, to which it moves after a build.
  stored_blobs | sort -u >"$W/kept"
  [ -z "$(comm -23 "$W/stored" "$W/kept")" ] || fail "$S: the collector took blobs"
  daemon_start_containerd --containerd-worker-snapshotter=$S
  check 6
  free_all

  # The daemon ends anywhere.
  for round in 1 2 3; do
    build --no-cache --opt build-arg:N=$round --output "type=oci,dest=$W/killed.tar" >"$W/log1" 2>&1 &
    build_pid=$!
    sleep "0.$((RANDOM % 9))"
    daemon_kill9
    wait "$build_pid" 2>/dev/null || true
    [ $round = 2 ] || collect
    daemon_start_containerd --containerd-worker-snapshotter=$S
    check 0
  done
  free_all
  wait_for 10 no_shims || { pgrep -af -- "containerd-shim.* -address $CTD" >&2; fail "$S: shims are left"; }
  daemon_stop
done
