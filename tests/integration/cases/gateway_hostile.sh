# Frontend images that speak the protocol and mean no good: the daemon stays as it was.
. "$(dirname "$0")/../lib.sh"
. "$TOP/tests/integration/hostile_frontend.sh"
of_daemon() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }
descriptors() { ls "/proc/$daemon_pid/fd" | wc -l; }
# The slack is gRPC's: it makes pollers and idle threads as it sees fit. Idle threads end
# after ten seconds.
settled() {
  [ "$(descriptors)" -le $((fds + 4)) ] && [ "$(of_daemon Threads)" -le $((threads + 8)) ] && clean
}
rest() { wait_for 40 settled || fail "$1 leaves $(descriptors) of $fds descriptors, $(of_daemon Threads) of $threads threads: $(leftovers)"; }

# What a daemon that has built something keeps.
hostile liar || { cat "$W/said"; fail "a frontend that returns something has no result"; }
wait_for 20 clean
fds=$(descriptors) threads=$(of_daemon Threads)
said "return: 2 return reference no-such-ref not found"
said "read: 2 no such ref: no-such-ref"
said "return: 2 gateway result is already set"
for _ in $(seq 20); do hostile liar; done
rest "a frontend that lies"

! hostile garbage || fail "garbage has a result"
has "$W/said" "no result for incomplete build"
rest "a frontend that sends garbage"

! hostile streams --opt count=2000 || fail "a frontend that fails has a result"
has "$W/said" "exit code: 3"
rest "a frontend with 2000 silent calls"

hostile containers --opt count=20 || { cat "$W/said"; fail "containers that are not released fail the build"; }
rest "a frontend that releases no container"
! hostile containers --opt count=1100 || fail "there is no end to containers"
said "too many containers"
rest "a frontend with containers without number"

before=$(of_daemon VmHWM)
! hostile solves --opt count=1000 --opt bytes=4000000 || fail "there is no end to solves"
said "the frontend holds too many results"
[ $(($(of_daemon VmHWM) - before)) -lt 1000000 ] || fail "it took $(of_daemon VmHWM) KiB"
rest "a frontend with solves without number"

# What the file itself takes, as a definition, is not counted.
peak_of_reads() { # peak_of_reads COUNT
  echo 5 >"/proc/$daemon_pid/clear_refs" # the peak from here on
  hostile reads --opt count="$1" --opt bytes=15000000 || { cat "$W/said"; fail "$1 reads at once fail"; }
  said "whole files: $1, return: 0"
  of_daemon VmHWM
}
one=$(peak_of_reads 1) many=$(peak_of_reads 100)
echo "one large read: peak of $one KiB, 100 at once: $many KiB"
[ $((many - one)) -lt 600000 ] || fail "it took $many KiB, $one for one"
rest "a frontend that reads one large file 100 times at once"

mkdir "$W/large"
head -c 17000000 /dev/zero >"$W/large/large"
hostile large --local context="$W/large" || { cat "$W/said"; fail "a file that is too large fails the build"; }
said "large: 8 grpc: trying to send message larger than max (17000005 vs. 16777216)"

# One that never ends does not keep others from building, and goes with its client.
hostile endless &
client=$!
wait_for 20 a_step_runs || fail "the frontend does not start"
dockerfile <<'D'
FROM base
RUN echo others go on
D
build 2>"$W/other" || fail "another build fails"
kill -KILL "$(pgrep -P $client)" # the program, not the shell around it
rest "a frontend that never ends"

# What v0.32.2 can.
hostile caps || { cat "$W/said"; fail "no capabilities"; }
said "caps of llb: 88, of gateway: 27, deprecated: 1"
hostile container-files || { cat "$W/said"; fail "files of a container fail the build"; }
said "read c /etc/passwd 0 root: 0"
said "open /etc/nothing: no such file or directory"
said "read c etc/passwd 0 : 2 can't make etc/passwd relative to /"
said "read other /etc/passwd 0 : 2 container details for other@0 not found"
said "read c /etc/passwd 7 : 2 mount index 7 is out of bounds (1 available)"
said "list group passwd: 0"
said "stat passwd of "

# No malice, only age: a frontend that ends with its last solve.
hostile old-end --output type=local,dest="$W/out" --metadata-file "$W/meta" || { cat "$W/said"; fail "an old frontend fails"; }
has "$W/out/file" "old end"
has "$W/meta" '"frontend.said": "hello"'
