# du, prune, debug workers, debug info, debug dump-llb: shapes of the reference's output.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo x > /x
D
daemon_start
build 2>"$W/log"

"$BUILDCTL" du >"$W/du"
has "$W/du" RECLAIMABLE
has "$W/du" "Total:"
"$BUILDCTL" du -v >"$W/duv"
has "$W/duv" "Description:"
"$BUILDCTL" debug workers >"$W/workers"
has "$W/workers" linux/
"$BUILDCTL" debug info >"$W/info"
has "$W/info" BuildKit
"$BUILDCTL" prune >"$W/prune"
has "$W/prune" "Total:"
"$BUILDCTL" prune --all >"$W/prune"
"$BUILDCTL" du >"$W/du2"
has "$W/du2" "Total:"
has_not "$W/du2" true
# A file made by an independent encoder: one op, source docker-image://docker.io/library/x:latest, and a terminal op.
python3 - "$W/def.pb" <<'PY'
import hashlib, sys
def field(n, b): return bytes([n << 3 | 2]) + bytes([len(b)]) + b
src = field(3, field(1, b"docker-image://docker.io/library/x:latest"))
dg = ("sha256:" + hashlib.sha256(src).hexdigest()).encode()
end = field(1, field(1, dg))
open(sys.argv[1], "wb").write(field(1, src) + field(1, end))
PY
"$BUILDCTL" debug dump-llb "$W/def.pb" >"$W/dump"
has "$W/dump" 'docker-image://docker.io/library/x:latest'
for c in "" build du prune prune-histories debug "debug workers" "debug info" "debug dump-llb" "debug dump-metadata" "debug monitor" "debug logs" "debug histories" "debug get" "debug ctl" dial-stdio; do
  # shellcheck disable=SC2086
  "$BUILDCTL" $c --help >"$W/help" || fail "$c --help"
  has "$W/help" USAGE:
done
