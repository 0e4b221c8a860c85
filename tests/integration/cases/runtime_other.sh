# Runtimes other than runc: one that knows only old specs is given such; one that cannot run
# containers here says so in the log, and the step tells the same.
. "$(dirname "$0")/../lib.sh"
# other NAME LINE…: a runtime that is runc after these lines of shell; $bundle is set.
other() {
  {
    printf '#!/bin/sh\nlog=$2 bundle=\nfor a in "$@"; do [ "$last" = --bundle ] && bundle=$a; last=$a; done\n'
    # shellcheck disable=SC2016
    printf 'refuse() { echo "{\\"level\\":\\"error\\",\\"msg\\":\\"$1\\"}" >>"$log"; exit 1; }\n'
    printf '%s\n' "${@:2}" 'exec runc "$@"'
  } >"$W/$1"
  chmod +x "$W/$1"
}
other old 'if [ -n "$bundle" ]; then grep -q "\"ociVersion\":\"1.0" "$bundle/config.json" || refuse "unknown version specified"; fi'
other unable 'if [ -n "$bundle" ]; then refuse "cgroups in hybrid mode not supported"; fi'
dockerfile <<'D'
FROM base
RUN echo x >/x
D

daemon_start --oci-worker-binary "$W/old"
has "$W/buildkitd.log" "knows the runtime spec only up to 1.0.2"
has_not "$W/buildkitd.log" "cannot run steps"
build --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log" >&2; fail "the build"; }
has "$W/out/x" x
daemon_stop

daemon_start --oci-worker-binary "$W/unable"
has "$W/buildkitd.log" "cannot run steps on this machine: cgroups in hybrid mode not supported"
! build --no-cache 2>"$W/log" || fail "a step runs all the same"
has "$W/log" "unable: cgroups in hybrid mode not supported"
daemon_stop
