# The daemon does not grow with the number of builds it has done: less than 10 MB from
# build 100 on (KILN_RSS_BUILDS=1000 for the long run).
. "$(dirname "$0")/../lib.sh"
builds=${KILN_RSS_BUILDS:-250}
daemon_start
rss() { awk '/^VmRSS/ {print $2}' "/proc/$daemon_pid/status"; }
dockerfile <<'D'
FROM base
COPY a /a
RUN cat /a > /b
D
for i in $(seq "$builds"); do
  # Every tenth has something to do.
  echo $((i / 10)) >"$W/ctx/a"
  build 2>"$W/log" || { cat "$W/log" >&2; fail "build $i"; }
  [ "$i" != 100 ] || early=$(rss)
done
late=$(rss)
echo "RSS after build 100: $early kB, after build $builds: $late kB, growth $((late - early)) kB"
[ $((late - early)) -lt 10240 ] || fail "the daemon grew by $((late - early)) kB"
