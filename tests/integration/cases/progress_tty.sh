# --progress=tty draws with a terminal; auto falls back to plain without one.
. "$(dirname "$0")/../lib.sh"
dockerfile <<'D'
FROM base
RUN echo line of the step
D
daemon_start
build_cmd="$BUILDCTL build --frontend dockerfile.v0 --local context=$W/ctx --local dockerfile=$W/ctx --oci-layout base=$BASE --opt context:base=oci-layout://base@$BASE_DIGEST"
TERM=xterm script -qec "$build_cmd --progress=tty" /dev/null >"$W/tty" </dev/null
has "$W/tty" "[+] Building"
has "$W/tty" $'\x1b['
$build_cmd --no-cache 2>"$W/auto" </dev/null
has "$W/auto" "#1 "
has_not "$W/auto" $'\x1b['
