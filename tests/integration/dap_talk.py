"""dap_talk.py CONTEXT COMMAND…: debugs the failing build of CONTEXT through buildx's
debug adapter, as an editor would.

Waits until the failed step stops, prints its place, its files, and what a process in the
step's own container reads, and ends the session.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

LIMIT = 20  # seconds
# What is typed comes back, broken into lines: only the answer has nothing but words.
READ = b"echo made $(cat /made) cache $(cat /cache/kept) bound $(cat /bound/f)\n"
ANSWER = re.compile(rb"made [-a-z]+ cache [-a-z]+ bound [-a-z]+")


class Adapter:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0
        self.events, self.answers = [], {}

    def send(self, message):
        self.number += 1
        text = json.dumps({"seq": self.number, **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        self.process.stdin.flush()
        return self.number

    def receive(self):
        length = 0
        while (line := self.process.stdout.readline().strip()) or length == 0:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            elif not line:
                raise EOFError("the adapter is gone")
        return json.loads(self.process.stdout.read(length))

    def next(self):
        """The next message that is not for us to answer."""
        while True:
            message = self.receive()
            if message["type"] == "event":
                self.events.append(message)
            if message["type"] == "request":  # the adapter wants a terminal: there is one
                self.send({"type": "response", "request_seq": message["seq"], "success": True,
                           "command": message["command"], "body": {"processId": os.getpid()}})
                continue
            return message

    def call(self, command, **arguments):
        number = self.send({"type": "request", "command": command, "arguments": arguments})
        return self.answer(number)

    def answer(self, number):
        while number not in self.answers:
            message = self.next()
            if message["type"] == "response":
                self.answers[message["request_seq"]] = message
        message = self.answers.pop(number)
        if not message["success"]:
            raise RuntimeError(json.dumps(message))
        return message.get("body") or {}

    def wait_for(self, event):
        while True:
            for known in self.events:
                if known["event"] == event:
                    self.events.remove(known)
                    return known.get("body")
            message = self.next()
            if message["type"] == "response":
                self.answers[message["request_seq"]] = message


def in_container(path):
    """What the shell in the container of the step says, through the adapter's socket."""
    until = time.monotonic() + LIMIT
    with socket.socket(socket.AF_UNIX) as shell:
        shell.connect(path)
        shell.settimeout(1)
        said, asked = b"", False
        while time.monotonic() < until:
            try:
                data = shell.recv(65536)
            except TimeoutError:
                data = None
            if data == b"":
                break
            said += data or b""
            if not asked and b"# " in said:
                shell.sendall(READ)
                asked = True
            if ANSWER.search(said) or b"not executable" in said:
                break
        shell.sendall(b"exit\n")
    return said.decode(errors="replace")


def main():
    adapter = Adapter(sys.argv[2:])
    adapter.call("initialize", adapterID="buildx", supportsRunInTerminalRequest=True)
    # Its answer comes when the configuration is done.
    launch = adapter.send({"type": "request", "command": "launch",
                           "arguments": {"contextPath": sys.argv[1],
                                         "dockerfile": os.path.join(sys.argv[1], "Dockerfile")}})
    adapter.wait_for("initialized")
    adapter.call("configurationDone")
    adapter.answer(launch)
    stopped = adapter.wait_for("stopped")
    print("stopped:", stopped["reason"], stopped.get("text", ""))
    for frame in adapter.call("stackTrace", threadId=stopped["threadId"])["stackFrames"][:1]:
        print("at line", frame["line"], "in", frame["name"])
        for scope in adapter.call("scopes", frameId=frame["id"])["scopes"]:
            variables = adapter.call("variables",
                                     variablesReference=scope["variablesReference"])["variables"]
            print("scope", scope["name"], [v["name"] + "=" + v["value"] for v in variables])
    said = adapter.call("evaluate", expression="exec", context="repl")["result"]
    print(said)
    print(in_container(said.split(" attached to ")[1].rstrip(".")))
    adapter.process.send_signal(signal.SIGINT)
    adapter.process.wait(LIMIT)


main()
