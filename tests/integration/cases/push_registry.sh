# type=image,push=true to a registry, then FROM that image on an empty daemon.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo pushed > /pushed
ENTRYPOINT ["/bin/cat"]
CMD ["/pushed"]
D
registry_start
daemon_start

build --output "type=image,name=$REG/kiln/pushed:1,push=true,registry.insecure=true" --metadata-file "$W/meta.json" 2>"$W/log"

has "$W/meta.json" '"containerimage.digest"'
skopeo inspect --tls-verify=false "docker://$REG/kiln/pushed:1" >"$W/inspect"
skopeo copy -q --src-tls-verify=false "docker://$REG/kiln/pushed:1" "oci-archive:$W/back.tar:latest"
[ "$(run_image "$W/back.tar")" = pushed ] || fail "the pushed image does not run"

daemon_stop
forget_all
printf 'FROM %s/kiln/pushed:1\nRUN cp /pushed /again\nCMD ["/again"]\n' "$REG" >"$W/ctx/Dockerfile"
daemon_start
build --output type=oci,dest="$W/out.tar" 2>"$W/log2"
[ "$(run_image "$W/out.tar")" = pushed ] || fail "FROM the registry"
# Both layers are shown under FROM: how much came in, and that it was unpacked.
from=$(sed -n "s/^\(#[0-9]*\) \[.* FROM $REG.*/\1/p" "$W/log2" | head -n 1)
[ "$(grep -cE "^$from sha256:[0-9a-f]{64} [0-9.]+k?M?B / [0-9.]+k?M?B( [0-9.]+s)? done$" "$W/log2")" = 2 ] ||
  { cat "$W/log2" >&2; fail "what the layers brought in"; }
[ "$(grep -cE "^$from extracting sha256:[0-9a-f]{64}( [0-9.]+s)? done$" "$W/log2")" = 2 ] ||
  { cat "$W/log2" >&2; fail "that the layers were unpacked"; }
