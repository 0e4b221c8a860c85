# A folder with very many files comes in, comes in again unchanged, and goes out.
# KILN_SYNC_FILES=1000000 for the long run.
. "$(dirname "$0")/../lib.sh"
files=${KILN_SYNC_FILES:-30000}
# What a file may cost each program, in bytes; and what both need for anything.
per_file=${KILN_SYNC_BYTES:-1500} fixed_kib=150000
daemon_start
mkdir "$W/src"
python3 - "$W/src" "$files" <<'PY'
import os, sys
os.chdir(sys.argv[1])
os.mkdir("d")
for i in range(int(sys.argv[2])):
    with open("d/%07d" % i, "w") as f:
        f.write(str(i))
PY
dockerfile <<'D'
FROM src
D
export LOG=$W/log
sync() { # sets client_kib
  client_kib=$(python3 - "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local dockerfile="$W/ctx" \
    --opt context:src=local:src --local src="$W/src" "$@" <<'PY'
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=open(os.environ["LOG"], "w"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
PY
  ) || { cat "$LOG" >&2; fail "the build fails"; }
}
peak() { awk '/^VmHWM/ {print $2}' "/proc/$daemon_pid/status"; }
bounded() { # bounded WHAT
  local most=$((files * per_file / 1024 + fixed_kib))
  echo "$1: $files files, client $client_kib KiB, daemon $(peak) KiB; at most $most"
  [ "$client_kib" -lt $most ] || fail "$1: the client took $client_kib KiB"
  [ "$(peak)" -lt $most ] || fail "$1: the daemon took $(peak) KiB"
}
sync
bounded in
echo changed >"$W/src/d/0000007"
sync
bounded again
sync --output type=local,dest="$W/out"
bounded out
[ "$(find "$W/out/d" -type f | wc -l)" = "$files" ] || fail "not all files"
[ "$(cat "$W/out/d/0000007")" = changed ] || fail "content"
[ "$(cat "$W/out/d/$(printf %07d $((files - 1)))")" = $((files - 1)) ] || fail "content of the last"
