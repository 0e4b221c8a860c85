# What `buildctl du` adds up to is what the root takes on the disk, within 2 %, however
# often it is built, pruned and built again (KILN_DU_ROUNDS=200 for the long run).
. "$(dirname "$0")/../lib.sh"
rounds=${KILN_DU_ROUNDS:-6}
# The history is no record: a few builds of it will do.
printf '[history]\n  maxAge = 1\n  maxEntries = 5\n' >"$W/buildkitd.toml"
daemon_start --config "$W/buildkitd.toml"
sum() {
  "$BUILDCTL" du --format '{{json .}}' | python3 -c 'import json,sys; print(sum(r["size"] for r in json.load(sys.stdin)))'
}
# The database describes the records; it is no record, and bounded below. Nor are containerd's.
on_disk() { du -c --block-size=1 --exclude='index.db*' --exclude='*.db' "$ROOT" $([ ! -e "$W/ctd-root" ] || echo "$W/ctd-root") | tail -n 1 | cut -f1; }
check() {  # ROUND
  python3 - "$(sum)" "$(on_disk)" "$1" <<'PY'
import sys
said, real = int(sys.argv[1]), int(sys.argv[2])
off = abs(said - real) / real
print(f"round {sys.argv[3]}: du says {said}, the disk has {real}, {off:.2%} off")
sys.exit(off > 0.02)
PY
}
# Files that COPY may share between records; a third of them is new in each round.
many() {
  python3 - "$W/ctx/many" "$1" <<'PY'
import os, sys
folder, round = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
for i in range(300):
    if round == 1 or i % 3 == round % 3:
        with open(f"{folder}/{i}", "wb") as f:
            f.write(os.urandom(100_000))
PY
}
mkdir -p "$W/ctx"
for round in $(seq "$rounds"); do
  dockerfile <<D
FROM scratch AS files
COPY many /many
FROM base
COPY big /big
COPY many /made/many
COPY --from=files /many /again/many
RUN head -c 20000000 /big > /part; for i in \$(seq 200); do echo \$i > /small\$i; done
RUN head -c $((4 + round % 5))000000 /dev/urandom > /random$((round % 7))
D
  head -c $((100 + round % 3))000000 /dev/urandom >"$W/ctx/big"
  many "$round"
  build --export-cache type=inline --output type=oci,compression=uncompressed,dest=/dev/null 2>"$W/log" || { cat "$W/log" >&2; fail build; }
  case $((round % 6)) in
    2) "$BUILDCTL" prune --filter type==regular >/dev/null ;;
    4) "$BUILDCTL" prune --keep-storage 180 >/dev/null ;;
    5) "$BUILDCTL" prune --keep-duration 2s >/dev/null ;;
  esac
  # What an ended build let go is deleted beside it.
  wait_for 5 check "$round" || { "$BUILDCTL" du -v >&2; du -h --max-depth=2 "$ROOT" >&2; fail "round $round"; }
done
database=$(du -c --block-size=1 "$ROOT"/index.db* | tail -n 1 | cut -f1)
echo "the database takes $database bytes after $rounds rounds"
[ "$database" -lt 16000000 ] || fail "the database takes $database bytes"
