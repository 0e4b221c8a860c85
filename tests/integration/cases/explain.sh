# The first cause of a miss is named for each mutation of explain_cases.json.
# Each mode has a daemon that knows nothing of the other's builds.
. "$(dirname "$0")/../lib.sh"
daemon_start
dockerfile <<'D'
FROM base
RUN echo other > /other-base
D
build --output type=oci,dest="$W/base2",tar=false 2>"$W/log"
export BASE BASE_DIGEST W BUILDCTL BASE2=$W/base2
BASE2_DIGEST=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]+"/index.json"))["manifests"][0]["digest"])' "$BASE2")
export BASE2_DIGEST
for mode in ${KILN_EXPLAIN_MODES:-local import}; do
  daemon_stop
  forget_all
  daemon_start
  python3 "$TOP/tests/integration/explain_cases.py" "$mode" ${KILN_EXPLAIN_CASE:+"$KILN_EXPLAIN_CASE"} || fail "$mode"
done
