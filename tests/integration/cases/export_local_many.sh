# 20 000 files to type=local, for each pair of programs: nobody stops reading while sending.
# REF_BUILDKITD and REF_BUILDCTL name another pair; without them it is one pair only. Two
# programs of the reference may stall with each other: that pair is counted, not judged.
. "$(dirname "$0")/../lib.sh"
files=20000
mkdir "$W/src"
python3 - "$W/src" $files <<'PY'
import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
    with open("%05d" % i, "w") as f:
        f.write(str(i))
PY
dockerfile <<'D'
FROM src
D
own_daemon=$BUILDKITD own_client=$BUILDCTL
pair() { # pair DAEMON CLIENT: 20 000 files in and out; fails if they do not end
  BUILDKITD=$1 BUILDCTL=$2 ROOT=$W/root-$RANDOM
  daemon_start
  rm -rf "$W/out"
  local began=$SECONDS status=0
  timeout -k 5 100 "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local dockerfile="$W/ctx" \
    --opt context:src=local:src --local src="$W/src" --output type=local,dest="$W/out" 2>"$W/log" || status=$?
  echo "$1 to $2: status $status after $((SECONDS - began)) s, $(find "$W/out" -type f 2>/dev/null | wc -l) files"
  daemon_stop
  [ $status -eq 0 ] && [ "$(find "$W/out" -type f | wc -l)" = $files ] && [ "$(cat "$W/out/19999")" = 19999 ]
}
pair "$own_daemon" "$own_client" || { cat "$W/log" >&2; fail "the pair does not end"; }
[ -n "${REF_BUILDKITD:-}" ] && [ -n "${REF_BUILDCTL:-}" ] || exit 0
pair "$own_daemon" "$REF_BUILDCTL" || { cat "$W/log" >&2; fail "the daemon with another client does not end"; }
pair "$REF_BUILDKITD" "$own_client" || { cat "$W/log" >&2; fail "the client with another daemon does not end"; }
pair "$REF_BUILDKITD" "$REF_BUILDCTL" || echo "the other two stall with each other"
