# type=oci: skopeo reads it, umoci unpacks it, runc runs it, and it does what the Dockerfile says.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo "made at build time" > /message
COPY file /copied
ENV GREETING=hello
CMD ["/bin/sh", "-c", "echo $GREETING; cat /message /copied"]
D
echo "from the context" >"$W/ctx/file"
daemon_start

build --output type=oci,dest="$W/out.tar" 2>"$W/log"

skopeo inspect "oci-archive:$W/out.tar" >"$W/inspect"
has "$W/inspect" '"Architecture"'
run_image "$W/out.tar" >"$W/ran"
printf 'hello\nmade at build time\nfrom the context\n' | cmp - "$W/ran"
