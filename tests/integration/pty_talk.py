"""pty_talk.py TALK COMMAND…: talks with a command on a terminal.

TALK is a file of pairs of lines: a regular expression to wait for, and what is typed then
(Python escapes; an empty line is the return key). All that the command printed goes to
stdout. Status 0 if the whole talk took place and the command ended within half a minute.
"""
import os
import pty
import re
import select
import signal
import sys
import time

LIMIT = 30  # seconds


def main():
    lines = open(sys.argv[1]).read().split("\n")
    talk = [(re.compile(a.encode()), b.encode().decode("unicode_escape").encode() + b"\r")
            for a, b in zip(lines[0::2], lines[1::2])]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    until = time.monotonic() + LIMIT
    said, seen, ended = b"", 0, False
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO is how a terminal ends
            data = b""
        if not data:
            ended = True
            break
        said += data
        while talk and (found := talk[0][0].search(said, seen)):
            seen = found.end()
            os.write(terminal, talk.pop(0)[1])
    if not ended:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    sys.stdout.buffer.write(said.replace(b"\r", b""))
    for expected, _ in talk:
        print("\nnever said:", expected.pattern.decode())
    return 0 if ended and not talk else 1


sys.exit(main())
