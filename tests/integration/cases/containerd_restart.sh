# Containerd dies in the middle of a step, and is restarted between builds.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/containerd.sh"
containerd_start
daemon_start_containerd
dockerfile <<'D'
FROM base
ARG N
RUN echo built $N >/n
D
build --opt build-arg:N=1 2>"$W/log"

# Between builds, in both ways that an administrator has.
for signal in TERM KILL; do
  containerd_end $signal
  containerd_start
  build --opt "build-arg:N=$signal" --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "after a restart ($signal)"; }
  has "$W/out/n" "built $signal"
done

# While it is away nothing hangs.
containerd_end TERM
! timeout 60 "$BUILDCTL" build --frontend dockerfile.v0 --local context="$W/ctx" --local dockerfile="$W/ctx" \
  --oci-layout base="$BASE" --opt context:base="oci-layout://base@$BASE_DIGEST" --opt build-arg:N=away 2>"$W/log" ||
  fail "a step runs without containerd"
has "$W/log" "containerd does not answer at $CTD"
containerd_start

# In the middle of a step: the build fails and says why, the step's process is gone.
mark=3333$$
dockerfile <<D
FROM base
RUN echo running; sleep $mark
D
build --output "type=local,dest=$W/out" >"$W/log" 2>&1 &
build_pid=$!
wait_for 20 grep -qE '^#[0-9]+ [0-9.]+ running' "$W/log" || { cat "$W/log" >&2; fail "the step does not start"; }
containerd_end KILL
gone() { ! kill -0 "$build_pid" 2>/dev/null; }
wait_for 20 gone || fail "the build does not notice that containerd has died"
! wait "$build_pid" || fail "the build succeeds"
has "$W/log" "failure waiting for process"
no_sleep() { ! pgrep -f "sleep $mark" >/dev/null; }
wait_for 5 no_sleep || fail "the step's process still runs"

# And the daemon goes on with the next containerd, without what the last one left.
containerd_start
printf 'FROM base\nRUN echo again >/n\n' >"$W/ctx/Dockerfile"
build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the next build"; }
has "$W/out/n" again
wait_for 10 no_containers || { ctd containers ls >&2; ctd tasks ls >&2; fail "containers are left"; }

# The daemon is killed in the middle of a step: the next one removes the container.
dockerfile <<D
FROM base
RUN echo running again; sleep $mark
D
build >"$W/log" 2>&1 &
build_pid=$!
wait_for 20 grep -qE '^#[0-9]+ [0-9.]+ running again' "$W/log" || { cat "$W/log" >&2; fail "the step does not start"; }
daemon_kill9
wait "$build_pid" 2>/dev/null || true
daemon_start_containerd
wait_for 10 no_containers || { ctd containers ls >&2; fail "containers are left after kill -9"; }
wait_for 5 no_sleep || fail "the step's process still runs"

# Trees that somebody takes away are made again.
printf 'FROM base\nRUN echo once >/n\nRUN echo more >>/n\n' >"$W/ctx/Dockerfile"
build 2>"$W/log"
daemon_stop
for lease in $(ctd leases ls -q); do ctd leases rm "$lease" >/dev/null; done
ctd content prune references >/dev/null
[ "$(ctd snapshots ls | wc -l)" = 1 ] || { ctd snapshots ls >&2; fail "containerd keeps what nobody holds"; }
daemon_start_containerd
build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the build without its earlier trees"; }
has "$W/out/n" more

# The daemon is killed while containerd copies a tree for it: what comes of that after the next
# one has begun goes with the next prune, and so does what it lies on.
daemon_stop
daemon_start_containerd --containerd-worker-snapshotter=native
printf 'FROM base\nRUN head -c 500000000 /dev/zero >/large\nRUN rm /large\n' >"$W/ctx/Dockerfile"
copies() { compgen -G "$W/ctd-root/io.containerd.snapshotter.v1.native/snapshots/new-*" >/dev/null; }
build >"$W/log" 2>&1 &
build_pid=$!
wait_for 60 grep -qF "RUN rm /large" "$W/log" || { cat "$W/log" >&2; fail "the second step does not begin"; }
wait_for 5 copies || echo "the copy was too fast"
daemon_kill9
wait "$build_pid" 2>/dev/null || true
daemon_start_containerd --containerd-worker-snapshotter=native
quiet() { ! copies; }
wait_for 60 quiet || fail "containerd copies without end"
"$BUILDCTL" prune --all >/dev/null
bare() { [ "$(ctd snapshots --snapshotter native ls | wc -l)" = 1 ]; }
wait_for 10 bare || { ctd snapshots --snapshotter native ls >&2; fail "snapshots of nobody are left"; }

# A snapshotter that containerd does not have is an error of the start.
daemon_stop
! timeout 60 "$BUILDKITD" --root "$W/root2" --addr "unix://$W/second.sock" --oci-worker=false \
  --containerd-worker-addr "$CTD" --containerd-worker-snapshotter=nonesuch \
  --otel-socket-path "$W/otel2.sock" >"$W/log" 2>&1 || fail "an unknown snapshotter is accepted"
has "$W/log" nonesuch
daemon_start_containerd
