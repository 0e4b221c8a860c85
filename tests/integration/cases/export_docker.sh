# type=docker: an archive for `docker load`, with a name.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo docker > /kind
D
daemon_start

build --output type=docker,name=example.test/kiln:1,dest="$W/out.tar" 2>"$W/log"

tar -tf "$W/out.tar" >"$W/names"
has "$W/names" manifest.json
tar -xOf "$W/out.tar" manifest.json >"$W/manifest"
has "$W/manifest" '"RepoTags":["example.test/kiln:1"]'
skopeo inspect "docker-archive:$W/out.tar" >"$W/inspect"
has "$W/inspect" '"Layers"'
