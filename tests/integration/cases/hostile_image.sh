# An image whose links lead out of it, wherever a step mounts, works, reads or copies:
# nothing of the machine is read or written.
. "$(dirname "$0")/../lib.sh"
mkdir -p "$W/victim/dir"
MARK=mark-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
echo "$MARK" >"$W/victim/flag"
echo "$MARK" >"$W/victim/dir/flag"
state() { (cd "$W/victim" && find . -printf '%p %y %m %u %s %T@ %C@\n' | sort; cat flag dir/flag); }
state >"$W/before"
untouched() { state | diff "$W/before" - || fail "$1: the machine's files changed"; }

daemon_start --allow-insecure-entitlement security.insecure
# Each way out once by an absolute path and once by dots.
mkdir -p "$W/ctx"
echo copied >"$W/ctx/new"
mkdir "$W/ctx/folder"
echo copied >"$W/ctx/folder/new"
tar -C "$W/ctx" -cf "$W/ctx/archive.tar" new
up=$(printf '../%.0s' $(seq 30))
evil() {  # evil TARGET: stages "evil" with every link to TARGET
  cat <<D
FROM base AS evil
RUN for l in bound cache temporary run/secrets place dest opt/dest archive ssh; do mkdir -p /\$(dirname \$l) && rm -rf /\$l && ln -s $1 /\$l; done; \
  rm -rf /mnt && ln -s $1/flag /mnt && mkdir /files && ln -s $1/flag /files/secret && ln -s $1/flag /files/dest && ln -s $1/nothing /files/dangling
D
}
# try NAME [build args…] <Dockerfile: it may fail, as long as it does nothing elsewhere.
try() {
  local name=$1
  shift
  dockerfile
  local ended=0
  timeout 60 "$BUILDCTL" build --progress=plain --frontend dockerfile.v0 --local context="$W/ctx" \
    --local dockerfile="$W/ctx" --oci-layout base="$BASE" --secret "id=s,src=$W/ctx/new" \
    --opt context:base="oci-layout://base@$BASE_DIGEST" \
    --output "type=tar,dest=$W/$name.tar" "$@" >"$W/log-$name" 2>&1 || ended=$?
  [ $ended -ne 124 ] || fail "$name does not end"
  has_not "$W/log-$name" "$MARK"
  if [ $ended -eq 0 ]; then
    if tar -xOf "$W/$name.tar" 2>/dev/null | grep -qaF "$MARK"; then fail "$name: the machine's files are in the image"; fi
  fi
  untouched "$name"
  echo $ended
}
for to in "$W/victim" "$up${W#/}/victim"; do
  try copy < <(evil "$to"; cat <<'D'
FROM evil
COPY new /dest/
COPY folder /opt/dest/sub/
COPY new /files/dest
COPY new /files/dangling
ADD archive.tar /archive/
WORKDIR /place/here
COPY --chown=7:7 --chmod=600 new relative
D
) >"$W/ended"
  [ "$(cat "$W/ended")" = 0 ] || { cat "$W/log-copy"; fail "a copy through links of the image fails"; }
  # Where the links lead inside of the image.
  tar -tf "$W/copy.tar" >"$W/names"
  has "$W/names" "${W#/}/victim/new"
  has "$W/names" "${W#/}/victim/here/relative"
  for from in /dest/flag /files/secret /mnt /dest/dir /dest/; do
    try read < <(evil "$to"; printf 'FROM base\nCOPY --from=evil %s /got/\n' "$from") >/dev/null
  done
  for mount in type=bind,source=folder,target=/bound type=bind,from=evil,source=/dest,target=/in \
    type=bind,from=evil,source=/dest/dir,target=/in type=bind,from=evil,source=/mnt,target=/in \
    type=cache,target=/cache type=cache,target=/in,from=evil,source=/dest/dir \
    type=tmpfs,target=/temporary type=tmpfs,target=/bound/deep type=secret,id=s \
    type=secret,id=s,target=/files/dest type=secret,id=s,target=/dest/deep/s \
    type=bind,source=new,target=/files/dangling,rw type=bind,source=folder,target=/place/x,rw; do
    try mount --opt build-arg:N="$mount" < <(evil "$to"
      printf 'FROM evil\nRUN --mount=%s cat /in /in/flag /in/dir/flag /dest/flag 2>/dev/null; touch /in/new /bound/new /temporary/new /dest/new /cache/new /place/x/y 2>/dev/null; true\n' "$mount") >/dev/null
  done
done
# What the daemon itself puts into a step.
for file in etc/resolv.conf etc/hosts dev proc sys dev/pts dev/shm; do
  try own < <(cat <<D
FROM base AS evil
COPY --from=base / /made/
RUN rm -rf /made/$file && mkdir -p /made/\$(dirname $file) && ln -s $W/victim/flag /made/$file
FROM scratch
COPY --from=evil /made /
RUN ["/bin/busybox", "true"]
D
) >/dev/null
done
