# A real agent and a real sshd on loopback: sources over ssh, steps with the agent's socket,
# a socket that is passed on as it is, and what an agent behind a filter refuses.
. "$(dirname "$0")/../lib.sh"
for program in /usr/sbin/sshd ssh-agent ssh-add ssh-keygen git; do
  command -v $program >/dev/null || skip "no $program"
done
PORT=$(free_port)
export GIT_CONFIG_GLOBAL=$W/gitconfig
git config --global init.defaultBranch main
git config --global user.email a@b.c && git config --global user.name n
git config --global --add safe.directory '*'
git init -q "$W/repo"
echo versioned >"$W/repo/file"
git -C "$W/repo" add . && git -C "$W/repo" commit -qm one
COMMIT=$(git -C "$W/repo" rev-parse HEAD)

ssh-keygen -q -t ed25519 -N '' -f "$W/host" && ssh-keygen -q -t ed25519 -N '' -C the-key -f "$W/key"
mkdir -p /run/sshd
cat >"$W/sshd_config" <<S
Port $PORT
ListenAddress 127.0.0.1
HostKey $W/host
AuthorizedKeysFile $W/key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile $W/sshd.pid
SetEnv GIT_CONFIG_GLOBAL=$W/gitconfig
S
/usr/sbin/sshd -D -e -f "$W/sshd_config" 2>"$W/sshd.log" &
extra_pids="$extra_pids $!"
wait_for 10 ssh-keyscan -p "$PORT" 127.0.0.1 >"$W/known" 2>/dev/null || fail "sshd does not answer"
eval "$(ssh-agent -a "$W/agent")" >/dev/null
extra_pids="$extra_pids $SSH_AGENT_PID"
ssh-add -q "$W/key"

# Programs of this machine for the steps, with their libraries.
mkdir -p "$W/ctx/root/usr/bin"
for program in ssh ssh-add git; do
  path=$(command -v $program)
  cp "$path" "$W/ctx/root/usr/bin/"
  ldd "$path" | awk '{for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i}' | while read -r library; do
    mkdir -p "$W/ctx/root$(dirname "$library")"
    cp -n "$(readlink -f "$library")" "$W/ctx/root$library"
  done
done
cp "$W/known" "$W/ctx/root/known"
daemon_start

# A source over ssh; the client's agent signs.
dockerfile <<D
FROM scratch
ADD ssh://root@127.0.0.1:$PORT$W/repo#main /src/
D
build --ssh default="$W/agent" --output "type=local,dest=$W/out" 2>"$W/log" || { cat "$W/log"; fail "no clone"; }
[ "$(cat "$W/out/src/file")" = versioned ] || fail "another file"
! build --no-cache --output "type=local,dest=$W/out2" 2>"$W/log" || fail "a clone without a key"
has "$W/log" "ssh"

# Steps.
dockerfile <<D
FROM base
COPY root /
ENV PATH=/bin:/usr/bin GIT_EXEC_PATH=/usr/bin GIT_SSH_COMMAND="ssh -o UserKnownHostsFile=/known -o StrictHostKeyChecking=yes"
RUN --mount=type=ssh test "\$SSH_AUTH_SOCK" = /run/buildkit/ssh_agent.0 && ssh-add -l && ! ssh-add -D
RUN --mount=type=ssh git clone -q ssh://root@127.0.0.1:$PORT$W/repo /cloned && test "\$(git -C /cloned rev-parse HEAD)" = $COMMIT
RUN --mount=type=ssh,id=other,target=/there/agent,mode=0777,uid=1000 test "\$SSH_AUTH_SOCK" = /there/agent && test "\$(stat -c %a.%u /there/agent)" = 777.1000 && ssh-add -l
RUN test -z "\$SSH_AUTH_SOCK" && test ! -e /run/buildkit/ssh_agent.0 && test ! -e /there
RUN --mount=type=ssh,id=absent test ! -e /run/buildkit/ssh_agent.0
D
build --ssh default="$W/agent" --ssh other="$W/key" 2>"$W/log" || { cat "$W/log"; fail "the steps"; }
[ "$(count "$W/log" the-key)" -ge 1 ] || fail "the agent's key is not listed"
SSH_AUTH_SOCK=$W/agent ssh-add -l | grep -q the-key || fail "the step has emptied the agent"

dockerfile <<D
FROM base
COPY root /
ENV PATH=/bin:/usr/bin
RUN --mount=type=ssh,required=true ssh-add -l
D
! build 2>"$W/log" || fail "a required agent is missing and nobody minds"
has "$W/log" "no SSH key"

# A raw socket: everything passes, also what a filter would keep back.
python3 - "$W/raw" "$W/asked" <<'PY' &
import os, socket, struct, sys, threading
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(8)
def serve(peer):
    while True:
        head = peer.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return
        body = peer.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
        with open(sys.argv[2], "a") as out:
            out.write("%d\n" % body[0])
        peer.sendall(struct.pack(">IB", 1, 6))  # SSH_AGENT_SUCCESS
while True:
    peer, _ = server.accept()
    threading.Thread(target=serve, args=(peer,), daemon=True).start()
PY
extra_pids="$extra_pids $!"
wait_for 10 test -S "$W/raw" || fail "no raw socket"
dockerfile <<D
FROM base
COPY root /
ENV PATH=/bin:/usr/bin
RUN --mount=type=ssh,id=raw ssh-add -D
D
build --ssh raw="$W/raw",raw=true 2>"$W/log" || { cat "$W/log"; fail "the raw socket"; }
grep -qx 19 "$W/asked" || fail "the request did not arrive: $(cat "$W/asked")"
