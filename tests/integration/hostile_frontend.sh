# Sourced by cases after lib.sh: a daemon, and a frontend image that can do what no client does.
PROGRAM=$(dirname "$BUILDKITD")/hostile-frontend
[ -x "$PROGRAM" ] || skip "no hostile-frontend beside $BUILDKITD"
daemon_start

# The image of the frontend: the program and its libraries.
mkdir -p "$W/image"
cp "$PROGRAM" "$W/image/hostile-frontend"
ldd "$PROGRAM" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$W/image$(dirname "$library")"
  cp -L "$library" "$W/image$library"
done
dockerfile <<'D'
FROM scratch
COPY . /
ENTRYPOINT ["/hostile-frontend"]
D
build --local context="$W/image" --output type=oci,tar=false,dest="$W/hostile" \
  --metadata-file "$W/hostile.json" 2>"$W/packing"
DIGEST=$(python3 -c "import json; print(json.load(open('$W/hostile.json'))['containerimage.digest'])")

# hostile MODE [ARGS…]: a build by that frontend; what it says is in $W/said.
hostile() {
  local mode=$1
  shift
  "$BUILDCTL" build --progress=plain --frontend gateway.v0 --opt source=hostile \
    --oci-layout hostile="$W/hostile" --opt "context:hostile=oci-layout://hostile@$DIGEST" \
    --oci-layout base="$BASE" --opt base="$BASE_DIGEST" --opt mode="$mode" "$@" >"$W/said" 2>&1
}
said() { has "$W/buildkitd.log" "$1"; } # by the frontend: its stderr is the daemon's
