# A failing RUN: the reference's text and exit code, the step's log, the Dockerfile's lines.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo fine
RUN echo before the end; exit 37
D
daemon_start

build >"$W/out" 2>"$W/log" && fail "the build succeeded"

has "$W/log" 'process "/bin/sh -c echo before the end; exit 37" did not complete successfully: exit code: 37'
has "$W/log" 'before the end'
has "$W/log" 'Dockerfile:3'
has "$W/log" '>>> RUN echo before the end; exit 37'
has "$W/log" 'error: failed to solve: '
printf 'FROM base\nRUN false\n' >"$W/ctx/Dockerfile"
build 2>"$W/log2" && fail "the build succeeded"
has "$W/log2" 'process "/bin/sh -c false" did not complete successfully: exit code: 1'
