# Debian's crun: a build by it, on each tree of cgroups that can be had here. Where it cannot run
# containers, as on a hybrid tree, the daemon's log has its reason and the step says the same.
. "$(dirname "$0")/../lib.sh"
command -v crun >/dev/null || skip "crun is not installed"
if [ "${1:-}" != inside ]; then
  unshare --mount true 2>/dev/null || skip "no mount namespaces can be made here"
  trap - EXIT
  rm -rf "$W"
  exec unshare --mount --propagation private bash "$0" inside
fi
dockerfile <<'D'
FROM base AS one
RUN echo out; echo err >&2; id -u >/who; echo $$ >/first
RUN --network=none ls /sys/class/net | tr '\n' ' ' >/net
USER builder
RUN --mount=type=cache,target=/c,mode=777 --mount=type=tmpfs,target=/t,size=1m echo kept >/c/kept && touch /t/t && id -u >/tmp/builder
USER root
RUN --mount=type=bind,from=base,target=/b,ro ! touch /b/x 2>/dev/null && head -c 1 /dev/zero | wc -c >/zero
FROM base AS fails
RUN exit 7
FROM scratch
COPY --from=one /who /first /net /zero /tmp/builder /
D
# try TREE: a build; says whether crun works there.
try() {
  : >"$W/buildkitd.log"
  rm -rf "$W/out"
  daemon_start --oci-worker-binary crun
  if build --no-cache --output "type=local,dest=$W/out" 2>"$W/log"; then
    has_not "$W/buildkitd.log" "cannot run steps"
    [ "$(cat "$W/out/who" "$W/out/builder" "$W/out/net" "$W/out/zero")" = "$(printf '0\n1000\nlo 1')" ] || fail "$1: another result"
    [ "$(cat "$W/out/first")" = 1 ] || fail "$1: the step is not the first of its PID namespace"
    ! build --opt target=fails 2>"$W/log" || fail "$1: a step that fails is done"
    has "$W/log" "exit code: 7"
    works="$works $1"
  else
    has "$W/buildkitd.log" "the runtime crun cannot run steps on this machine: "
    why=$(sed -n 's/.*the runtime crun cannot run steps on this machine: \([^"\]*\).*/\1/p' "$W/buildkitd.log" | head -1)
    has "$W/log" "$why"
    echo "crun on $1: $why"
  fi
  wait_for 10 clean || { leftovers >&2; fail "$1: left behind"; }
  daemon_stop
}
works=
try "the tree as it is"
if [ -d /sys/fs/cgroup/unified ] && umount /sys/fs/cgroup/unified; then
  mount -t tmpfs none /sys/fs/cgroup/unified
  try "cgroup v1"
  ! umount -l -R /sys/fs/cgroup || ! mount -t cgroup2 none /sys/fs/cgroup || try "cgroup v2"
fi
[ -n "$works" ] || skip "crun runs no container here"
echo "crun works on:$works"
