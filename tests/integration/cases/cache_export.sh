# Caches to a registry, a folder and an image config; after a prune an import makes
# every step CACHED again, and the image stays the same.
. "$(dirname "$0")/../lib.sh"
mkdir -p "$W/ctx"
echo one >"$W/ctx/file"
dockerfile <<'D'
FROM base AS a
COPY file /file
RUN cat /file >/copied && echo ran >>/copied
FROM base
RUN echo first >/first
COPY --from=a /copied /copied
CMD ["/bin/cat", "/copied"]
D
export SOURCE_DATE_EPOCH=1700000000  # so that images can be compared
registry_start
daemon_start

digest() { python3 -c "import json; print(json.load(open('$1'))['containerimage.digest'])"; }
forget() {
  "$BUILDCTL" prune --all >/dev/null
  [ -z "$("$BUILDCTL" du --format '{{range .}}{{.ID}} {{end}}')" ] || fail "prune leaves records"
}
image() {  # image NAME ARGS…: pushes, leaves $W/NAME.json and $W/NAME.log
  local name=$1
  shift
  build --output "type=image,name=$REG/kiln/img:$name,push=true,registry.insecure=true,rewrite-timestamp=true" \
    --metadata-file "$W/$name.json" "$@" 2>"$W/$name.log" || { cat "$W/$name.log" >&2; fail "$name"; }
}
hits() {  # hits NAME WANTED
  [ "$(cached "$W/$1.log")" = "$2" ] || { cat "$W/$1.log" >&2; fail "$1: wanted $2 steps CACHED"; }
  [ "$(digest "$W/$1.json")" = "$(digest "$W/first.json")" ] || fail "$1: another image"
}
R=type=registry,ref=$REG/kiln/cache

# Several exports of one build; a response names one manifest, so folders come one by one.
image first --export-cache "$R:max,mode=max" --export-cache "$R:min" \
  --export-cache "$R:docker,mode=max,oci-mediatypes=false"
build --export-cache "type=local,dest=$W/max,mode=max" 2>"$W/local.log"
build --export-cache "type=local,dest=$W/list,mode=max,image-manifest=false" 2>/dev/null
build --export-cache "type=local,dest=$W/zstd,mode=max,compression=zstd,force-compression=true" 2>/dev/null
has "$W/first.log" "exporting cache to registry"
has "$W/local.log" "exporting cache to client directory"
has "$W/first.log" "writing cache image manifest sha256:"
skopeo inspect --raw --tls-verify=false "docker://$REG/kiln/cache:max" >"$W/manifest"
has "$W/manifest" application/vnd.buildkit.cacheconfig.v0
has "$W/manifest" '"application/vnd.oci.image.manifest.v1+json"'
skopeo inspect --raw --tls-verify=false "docker://$REG/kiln/cache:docker" >"$W/manifest-list"
has "$W/manifest-list" application/vnd.docker.distribution.manifest.list.v2+json

imports=0
# mode=max has the steps of every stage; so have all its forms.
for from in "$R:max" "$R:docker" "type=local,src=$W/max" "type=local,src=$W/list" "type=local,src=$W/zstd"; do
  forget
  name=import-$((++imports))
  image "$name" --import-cache "$from"
  has "$W/$name.log" "importing cache manifest from"
  [ "$from" = "type=local,src=$W/zstd" ] && { [ "$(cached "$W/$name.log")" = 4 ] || fail "zstd"; continue; }
  hits "$name" 4
done
# mode=min has those of the image; the others are needed by nobody.
forget
image min --import-cache "$R:min"
hits min 4
# A cache that is not there is said once and is a miss.
forget
image missing --import-cache "$R:none" --import-cache "type=local,src=$W/max"
has "$W/missing.log" "ERROR: failed to configure registry cache importer: $REG/kiln/cache:none: not found"
hits missing 4

# Inline: the image is the cache, of what it consists of.
forget
image inline --export-cache type=inline
forget
image again --export-cache type=inline --import-cache "type=registry,ref=$REG/kiln/img:inline"
[ "$(digest "$W/again.json")" = "$(digest "$W/inline.json")" ] || fail "inline: another image"
[ "$(cached "$W/again.log")" -ge 2 ] || { cat "$W/again.log" >&2; fail "inline: steps ran"; }

# Two sources together, each with one of two changes.
forget
build --opt target=a --export-cache "$R:a,mode=max" 2>/dev/null
printf 'FROM base\nRUN echo other >/other\n' >"$W/ctx/Dockerfile"
build --export-cache "$R:b,mode=max" 2>/dev/null
printf 'FROM base AS a\nCOPY file /file\nRUN cat /file >/copied && echo ran >>/copied\nFROM base\nRUN echo other >/other\nCOPY --from=a /copied /\n' >"$W/ctx/Dockerfile"
forget
build --import-cache "$R:a" --import-cache "$R:b" 2>"$W/two"
[ "$(cached "$W/two")" = 3 ] || { cat "$W/two" >&2; fail "two sources"; }

# Errors before anything is built, and one that is to be ignored.
build --export-cache type=nothing 2>"$W/err" && fail "an unknown exporter is taken"
has "$W/err" 'unknown cache exporter: "nothing"'
build --export-cache type=registry,ref=127.0.0.1:1/x 2>"$W/err" && fail "a lost export is taken"
build --export-cache type=registry,ref=127.0.0.1:1/x,ignore-error=true 2>"$W/err" || fail "ignore-error"
has "$W/err" "ERROR: error writing layer blob"
