# What a step used is in the history's provenance; a step that the kernel kills for want of
# memory says so, with the limit and the peak.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
ARG EAT
# A text of $EAT bytes in the shell's memory.
RUN [ -z "$EAT" ] || { text=$(head -c "$EAT" /dev/zero | tr '\0' x); echo ${#text}; }
RUN i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; head -c 5000000 /dev/zero > /file
D
daemon_start
build --no-cache 2>"$W/log" || { cat "$W/log"; fail "no build"; }

# The blob itself, whatever shows the history: the one in the store that has it.
find "$W" -path '*sha256*' -type f -exec grep -l '"resourceUsage"' {} + >"$W/found" || fail "no step's usage is kept"
python3 - "$(head -1 "$W/found")" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
steps = d["buildDefinition"]["internalParameters"]["buildConfig"]["llbDefinition"]
used = [s["resourceUsage"] for s in steps if "resourceUsage" in s]
assert len(used) == 2, [s.get("resourceUsage") for s in steps]
for usage in used:
    last = usage["samples"][-1]
    assert last["cpuStat"]["usageNanos"] > 1000000, last
    assert last["memoryStat"]["peak"] > 100000, last
    assert last["pidsStat"]["current"] == 0, last
    assert usage["sysCPUStat"]["idle"] >= 0, usage
assert max(u["samples"][-1]["memoryStat"]["file"] for u in used) >= 4000000, used
machine = d["runDetails"]["metadata"]["buildkit_metadata"]["sysUsage"]
assert machine[-1]["memoryStat"]["total"] > 100000, machine
PY

# A limit that the step's parent has.
parent=kiln-case-$$
if [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/$parent
  mkdir "$group"
  echo $((48 << 20)) >"$group/memory.limit_in_bytes"
else
  group=/sys/fs/cgroup/$parent
  mkdir "$group"
  echo $((48 << 20)) >"$group/memory.max"
  echo 0 >"$group/memory.swap.max" || true
fi
gone() { rmdir "$group/buildkit" 2>/dev/null; rmdir "$group" 2>/dev/null || [ ! -d "$group" ]; }
! build --opt build-arg:EAT=200000000 --opt "cgroup-parent=$parent" 2>"$W/log"
has "$W/log" "did not complete successfully: cannot allocate memory (memory limit 48 MiB, peak "
build --opt build-arg:EAT=1000000 --opt "cgroup-parent=$parent" 2>"$W/log"
has "$W/log" 1000000
# No cgroup of a step stays anywhere, nor what the runtime knew of it.
for folder in /sys/fs/cgroup/*/"$parent"/buildkit /sys/fs/cgroup/"$parent"/buildkit; do
  [ -z "$(find "$folder" -mindepth 1 -type d 2>/dev/null)" ] || fail "cgroups stay in $folder"
done
wait_for 5 gone || fail "the parent is in use"
for folder in /sys/fs/cgroup/*/"$parent"; do
  rmdir "$folder/buildkit" 2>/dev/null || true
  rmdir "$folder" 2>/dev/null || true
done
