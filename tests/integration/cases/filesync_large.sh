# A file of gigabytes comes in and goes out; neither program holds more of it than pieces.
# KILN_SYNC_MIB=10240 for the long run.
. "$(dirname "$0")/../lib.sh"
mib=${KILN_SYNC_MIB:-3072}
daemon_start
mkdir "$W/src"
truncate -s "$mib"M "$W/src/large"
printf end >>"$W/src/large"
dockerfile <<'D'
FROM src
D

# sync ARGS…: a build whose result is the client's folder; sets client_kib, its peak.
sync() {
  client_kib=$(python3 - "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local dockerfile="$W/ctx" \
    --opt context:src=local:src --local src="$W/src" "$@" <<'PY'
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=open(os.environ["LOG"], "w"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
PY
  ) || { cat "$LOG" >&2; fail "the build fails"; }
}
export LOG=$W/log
peak() { awk '/^VmHWM/ {print $2}' "/proc/$daemon_pid/status"; }

before=$(peak)
sync
echo "in: $mib MiB, client $client_kib KiB, daemon $before to $(peak) KiB"
[ "$client_kib" -lt 200000 ] || fail "the client took $client_kib KiB"
[ $(($(peak) - before)) -lt 200000 ] || fail "the daemon took $(peak) KiB, before $before"

sync --output type=local,dest="$W/out"
echo "out: client $client_kib KiB, daemon $(peak) KiB"
[ "$client_kib" -lt 200000 ] || fail "the client took $client_kib KiB"
[ $(($(peak) - before)) -lt 200000 ] || fail "the daemon took $(peak) KiB, before $before"
[ "$(stat -c %s "$W/out/large")" = $((mib * 1048576 + 3)) ] || fail "size"
[ "$(tail -c 3 "$W/out/large")" = end ] || fail "content"
