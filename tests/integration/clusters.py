"""Clusters of real coordinators on a real PostgreSQL, for the tests."""

import http.client
import json
import os
import pathlib
import signal
import socket
import sys
import time

import pytest

from conftest import LIMIT_S, Answer, Coordinator, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import postgres  # noqa: E402  (found through the line above)

FAIL_OVER_S = 20  # Far more than it takes.


def free_port():
    """Return a TCP port of the loopback on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Member(Coordinator):
    """A coordinator of a cluster; all see the same simulated card."""

    def __init__(self, directory, name, url, gpu, listen=False):
        super().__init__(directory)
        self.name = name
        self.port = free_port() if listen else None
        self.config.write_text(
            f"listen: {f'127.0.0.1:{self.port}' if listen else 'null'}\n"
            f"socket: {self.socket}\n"
            f"store: {url}\n"
            f"cluster: {{name: {name}}}\n"
            f"gpus: {{simulated: [24576], dir: {gpu}}}\n"
            "verify: off\n")

    def start(self, *options, env=None):
        """Start it; whether it leads is seen later."""
        self.process = self.spawn(*options, env=env)
        until(self._is_alive, f"'{self.name}' answers")
        return self

    def _is_alive(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.call("GET", "/healthz").status == 200
        except OSError:
            return False

    def call(self, *arguments, **named):
        """Make a call, again where nobody listened: between two roles."""
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                return super().call(*arguments, **named)
            except (FileNotFoundError, ConnectionRefusedError):
                if (self.process.poll() is not None
                        or time.monotonic() > end):
                    raise
            time.sleep(0.005)

    def get(self, path):
        """Ask it, again while it changes its role: it listens anew then."""
        def ask():
            try:
                return self.call("GET", path)
            except (FileNotFoundError, ConnectionError):
                return None
        return until(ask, f"'{self.name}' answers")

    def cluster(self):
        return self.get("/gpu/cluster").json

    @property
    def leads(self):
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False

    def tcp(self, method, path, body, headers=None):
        """Make a call over TCP."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port,
                                          timeout=LIMIT_S)
        try:
            conn.request(method, path, json.dumps(body), headers or {})
            reply = conn.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            conn.close()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.thaw()
        super().end()


class Cluster:
    def __init__(self, directory, server):
        self.dir = directory
        self.server = server
        self.members = []

    def add(self, name, **settings):
        directory = self.dir / name
        directory.mkdir()
        gpu = settings.pop("gpu", self.dir / "gpu")
        member = Member(directory, name, self.server.url, gpu, **settings)
        self.members.append(member)
        return member

    def start(self, *names):
        """Start members; return the leader and the others."""
        for name in names:
            self.add(name).start()
        return self.settle()

    def leader(self):
        """Return who leads, once somebody does."""
        return self.leader_but(None)

    def leader_but(self, stopped):
        """Return who leads, once somebody does, without asking @stopped."""
        def find():
            return next((member for member in self.members
                         if member is not stopped
                         and member.process is not None
                         and member.process.poll() is None
                         and member.leads), None)
        return until(find, "somebody leads", FAIL_OVER_S)

    def settle(self):
        """Return the leader and, once they follow it, the others."""
        leader = self.leader()
        others = [member for member in self.members if member is not leader
                  and member.process.poll() is None]
        for other in others:
            until(lambda other=other: (other.cluster()["leader"] or {}).get(
                "name") == leader.name, f"'{other.name}' follows")
        return leader, others

    @property
    def url(self):
        return ",".join(f"unix://{member.socket}" for member in self.members)

    def environment(self):
        return {**os.environ, "GPUCOORD_URL": self.url}


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL server, one for the tests of a file."""
    if not postgres.is_available():
        pytest.skip("no PostgreSQL server is installed")
    server = postgres.Postgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def cluster(tmp_path, database):
    """A cluster without members, on an empty database."""
    if database.process.poll() is not None:
        database.start()
    database.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    made = Cluster(tmp_path, database)
    yield made
    for member in made.members:
        member.end()


__all__ = ["LIMIT_S", "cluster", "database"]
