# The instructions and mounts of everyday Dockerfiles, in one image.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
ARG BASE=base
FROM ${BASE} AS build
ARG NAME=default
ENV PREFIX=/opt/app
WORKDIR ${PREFIX}
COPY src ./src
COPY --chown=1000:1000 --chmod=0640 file owned
ADD archive.tar unpacked/
RUN ["/bin/sh", "-c", "echo exec form > exec"]
RUN --mount=type=bind,source=src,target=/bound cat /bound/x > bound && ! touch /bound/y 2>/dev/null
RUN --mount=type=cache,target=/cache echo kept > /cache/k
RUN --mount=type=cache,target=/cache cp /cache/k fromcache
RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c > secretsize
RUN --mount=type=tmpfs,target=/scratchpad touch /scratchpad/t && grep -q ' /scratchpad tmpfs' /proc/mounts
RUN <<EOF
echo heredoc one > heredoc
echo $NAME >> heredoc
EOF
COPY <<EOF inline.txt
prefix is $PREFIX
EOF
USER builder
RUN id -un > /tmp/who

FROM base AS unused
RUN echo this must not run; exit 1

FROM base
LABEL org.example.kind=test other="two words"
EXPOSE 8080/tcp 53/udp
COPY --from=build /opt/app /app
COPY --from=build /tmp/who /app/who
COPY --from=base /etc/passwd /app/passwd
USER 1000
ENTRYPOINT ["/bin/cat"]
CMD ["/app/bound", "/app/exec", "/app/fromcache", "/app/secretsize", "/app/heredoc", "/app/inline.txt", "/app/who", "/app/unpacked/in/tar", "/app/src/x"]
D
mkdir -p "$W/ctx/src" "$W/t/in"
echo x >"$W/ctx/src/x"
echo file >"$W/ctx/file"
echo tarred >"$W/t/in/tar"
tar -C "$W/t" -cf "$W/ctx/archive.tar" in
printf 12345 >"$W/token"
daemon_start

build --opt build-arg:NAME=given --secret id=token,src="$W/token" --output type=oci,dest="$W/out.tar" 2>"$W/log"

run_image "$W/out.tar" >"$W/ran"
printf 'x\nexec form\nkept\n5\nheredoc one\ngiven\nprefix is /opt/app\nbuilder\ntarred\nx\n' | diff - "$W/ran"
has_not "$W/log" "this must not run"
skopeo inspect --config "oci-archive:$W/out.tar" >"$W/config"
python3 - "$W/config" <<'PY'
import json, sys
c = json.load(open(sys.argv[1]))["config"]
assert c["Labels"] == {"org.example.kind": "test", "other": "two words"}, c["Labels"]
assert set(c["ExposedPorts"]) == {"8080/tcp", "53/udp"}, c["ExposedPorts"]
assert c["User"] == "1000" and c["Entrypoint"] == ["/bin/cat"], c
PY
