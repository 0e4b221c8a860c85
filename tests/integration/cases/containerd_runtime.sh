# The runtime of the containerd worker as the configuration wants it: the shim's options reach
# the shim, and an unknown shim is an error of the step.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
cat >"$W/bin-runc" <<S
#!/bin/sh
echo "\$@" >>$W/calls
exec runc "\$@"
S
chmod +x "$W/bin-runc"
cat >"$W/buildkitd.toml" <<T
[worker.containerd.runtime]
  name = "io.containerd.runc.v2"
  [worker.containerd.runtime.options]
    BinaryName = "$W/bin-runc"
    Root = "$W/runc-root"
T
containerd_start
daemon_start_containerd --config "$W/buildkitd.toml"
dockerfile <<'D'
FROM base
RUN echo x >/x
D
build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the build"; }
has "$W/out/x" x
has "$W/calls" "--root $W/runc-root"
has "$W/calls" create
daemon_stop

sed -i 's/io.containerd.runc.v2/io.containerd.nonesuch.v1/' "$W/buildkitd.toml"
daemon_start_containerd --config "$W/buildkitd.toml"
! build --no-cache 2>"$W/log" || fail "an unknown runtime runs"
has "$W/log" "io.containerd.nonesuch.v1"
wait_for 10 no_containers || fail "containers are left"
