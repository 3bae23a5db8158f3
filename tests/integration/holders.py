#!/usr/bin/python3
"""A holder of the GPU that behaves as it is told: well, or in a bad way.

    holders.py SOCKET CARD SERVICE BEHAVIOUR

It asks for VRAM, "uses" it by a file in the directory CARD that is named after
its pid, listens to its control stream and renews its lease.  Each thing that
happens to it is one line of JSON on its standard output.  It imports little, so
that hundreds of it start quickly.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

CHARGED_MIB = 12000
GREEDY_MIB = 20000  # Of a card of 24576; what it takes, not what it asks for.
TTL_MS = 10000  # Renewed in time also where the machine is busy.
RENEW_S = 1
SLOW_S = 0.3
LATE_S = 6  # Longer than the grace in the test's configuration.

# What each does, in the order of the table that the test prints.
BEHAVIOURS = {
    "obeys": "frees its VRAM when asked, and takes it again",
    "slow": "obeys, late but within its grace",
    "late": "obeys, but after its grace",
    "hangs": "is asked and does nothing; it goes on renewing",
    "stops": "is stopped when asked: it does not even renew",
    "deaf": "as hangs, and passes over SIGTERM",
    "lies": "says that it has paused and keeps its VRAM",
    "forks": "leaves its VRAM to a child in a session of its own, and exits",
    "greedy": "obeys, but uses more than it asked for",
    "dies held": "is killed while it works",
    "dies asked": "is killed when asked, before it answers",
    "dies acked": "answers, and is killed before it frees its VRAM",
    "dies paused": "is killed while it is paused",
    "dies resuming": "is killed when it is resumed",
}


class Connection:
    """One connection for calls, shared by the threads of a holder."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.file = None

    def post(self, path, body):
        """Make one call; return (status, object)."""
        body = json.dumps(body).encode()
        with self.lock:
            if self.file is None:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.path)
                self.file = sock.makefile("rwb")
            self.file.write(b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
                            b"Content-Length: %d\r\n\r\n%s"
                            % (path.encode(), len(body), body))
            self.file.flush()
            status, size = read_head(self.file)
            return status, json.loads(self.file.read(size))


def read_head(file):
    """Read the head of an answer; return its status and the body's size."""
    status = int(file.readline().split()[1])
    size = 0
    while (line := file.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    return status, size


def open_stream(path, service):
    """Open the control stream of @service."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    file = sock.makefile("rwb")
    file.write(b"GET /gpu/control/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
               % service.encode())
    file.flush()
    if read_head(file)[0] != 200:
        raise RuntimeError("no control stream")
    return file


def events(file):
    """Give the events of a stream as (name, object)."""
    name = None
    for line in file:
        key, _, value = line.decode().strip().partition(": ")
        if key == "event":
            name = value
        elif key == "data" and name is not None:
            yield name, json.loads(value)


def say(what, **more):
    """Print that something has happened."""
    os.write(1, (json.dumps({"what": what, **more}) + "\n").encode())


def use(card, mib):
    """Let this process use @mib of @card from now on."""
    new = f"{card}/.{os.getpid()}"
    with open(new, "w", encoding="ascii") as file:
        file.write(f"{mib}\n")
    os.rename(new, f"{card}/{os.getpid()}")


def used_by_others(card):
    """Return the VRAM that living processes use, without this one."""
    used = 0
    for name in os.listdir(card):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8") as stat:
                    is_dead = stat.read().rpartition(")")[2].split()[0] in "ZX"
                with open(f"{card}/{name}", encoding="ascii") as file:
                    used += 0 if is_dead else int(file.read())
            except (FileNotFoundError, ProcessLookupError):
                pass
    return used


class Holder:
    """The program."""

    def __init__(self, path, card, service, behaviour):
        self.card = card
        self.behaviour = behaviour
        self.stream = open_stream(path, service)
        self.calls = Connection(path)
        self.service = service
        self.grant = None

    def take(self):
        """Use VRAM."""
        use(self.card, GREEDY_MIB if self.behaviour == "greedy"
            else CHARGED_MIB)

    def start(self):
        """Ask for the GPU, and use it."""
        status, self.grant = self.calls.post("/gpu/request", {
            "service_id": self.service, "vram_mib": CHARGED_MIB,
            "ttl_ms": TTL_MS, "timeout_ms": 60000, "watch_pid": 0})
        if status != 200:
            raise RuntimeError(f"not granted: {self.grant}")
        if self.behaviour == "forks":
            self.fork_away()
        else:
            self.take()
        threading.Thread(target=self.renew, daemon=True).start()
        say("held", lease=self.grant["lease"],
            guarantee=self.grant["guarantee"])

    def fork_away(self):
        """Leave the VRAM to a child that is nobody's."""
        done, ready = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                self.take()
                os.write(ready, b"x")
                os.close(ready)
                while True:
                    signal.pause()
            os._exit(0)
        os.wait()
        os.read(done, 1)

    def renew(self):
        """Keep the lease until it is lost."""
        while True:
            time.sleep(RENEW_S)
            status, answer = self.calls.post("/gpu/renew", {
                "lease": self.grant["lease"], "token": self.grant["token"]})
            if status == 409:
                say("lost", type=answer["type"])
                return

    def ack(self, action):
        """Answer a command."""
        status, answer = self.calls.post("/gpu/ack", {
            "lease": self.grant["lease"], "token": self.grant["token"],
            "action": action, "vram_mib": 0})
        say("acked", action=action, status=status,
            type=answer.get("type"))

    def on_pause(self):
        """Do what this one does when asked to pause."""
        how = self.behaviour
        if how == "dies asked":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "stops":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how in ("hangs", "deaf", "stops"):
            return
        if how in ("slow", "late"):
            time.sleep(SLOW_S if how == "slow" else LATE_S)
        if how not in ("lies", "dies acked", "forks"):
            use(self.card, 0)
        self.ack("paused")
        if how == "dies acked":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "forks":
            os._exit(0)

    def on_resume(self, grant):
        """Go on working."""
        self.grant = {**self.grant, "token": grant["token"]}
        self.take()
        if self.behaviour == "dies resuming":
            os.kill(os.getpid(), signal.SIGKILL)
        self.ack("resumed")

    def run(self):
        """Live."""
        if self.behaviour == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.start()
        for name, what in events(self.stream):
            say(name, reason=what.get("reason"),
                others_mib=used_by_others(self.card))
            if name == "pause":
                self.on_pause()
            elif name == "resume":
                self.on_resume(what)


if __name__ == "__main__":
    Holder(*sys.argv[1:5]).run()
