"""Clients with several URLs: coordinators that are gone, follow, or hang."""

import os
import signal
import socket
import subprocess
import threading

import pytest

from conftest import BINARY, LIMIT_S, until

NO_LEADER = (b'{"type":"/no-leader","title":"no coordinator leads",'
             b'"status":503}')


class Stub:
    """Something at a socket that answers calls with 503, /healthz with 200, as
    far as it answers @what."""

    def __init__(self, path, what=("/healthz", "/gpu/")):
        self.path = path
        self.calls = []
        self.what = what
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        kept = []
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            head = conn.recv(65536)
            self.calls.append(head.split(b"\r\n")[0].decode())
            path = self.calls[-1].split()[1]
            if not path.startswith(self.what):
                kept.append(conn)  # As a process that was stopped.
                continue
            status, body = ((b"200 OK", b"{}") if path == "/healthz" else
                            (b"503 Service Unavailable", NO_LEADER))
            conn.sendall(b"HTTP/1.1 %s\r\n"
                         b"Content-Type: application/problem+json\r\n"
                         b"Connection: close\r\n"
                         b"Content-Length: %d\r\n\r\n%s"
                         % (status, len(body), body))
            conn.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)


@pytest.fixture
def stub(tmp_path):
    """Make stubs that are closed at the end."""
    made = []

    def create(**settings):
        made.append(Stub(tmp_path / f"stub{len(made)}.sock", **settings))
        return made[-1]

    yield create
    for one in made:
        if one.listener.fileno() >= 0:
            one.close()


def urls(*places):
    return ",".join(f"unix://{getattr(place, 'socket', None) or place.path}"
                    if not isinstance(place, str) else f"unix://{place}"
                    for place in places)


def start(url, *args, **settings):
    return subprocess.Popen(
        [BINARY, *args], env={**os.environ, "GPUCOORD_URL": url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def call(url, *args):
    process = start(url, *args)
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def test_a_coordinator_that_is_gone_is_passed_over(coordinator, tmp_path):
    gone = str(tmp_path / "nobody.sock")
    status, out, err = call(urls(gone, coordinator), "status", "--json")
    assert (status, err) == (0, "")
    assert "devices" in out


def test_who_does_not_lead_is_passed_over(coordinator, stub):
    follower = stub()
    status, out, _ = call(urls(follower, coordinator), "request", "--service",
                          "x", "--shell")
    assert status == 0
    assert follower.calls == ["POST /gpu/request HTTP/1.1"]
    lease, token = (word.partition("=")[2] for word in out.split())
    assert call(urls(follower, coordinator), "release", lease, token)[0] == 0


def test_who_leads_later_is_waited_for(make, stub):
    """Between two leaders there is none, for some seconds."""
    follower, coordinator = stub(), make()
    process = start(urls(follower, coordinator), "status", "--json")
    until(lambda: len(follower.calls) > 2, "it asks again")
    coordinator.start()
    assert "devices" in process.communicate(timeout=LIMIT_S)[0]
    assert process.returncode == 0


def test_who_has_been_stopped_is_passed_over(coordinator, stub):
    stopped = stub(what=())
    status, out, _ = call(urls(stopped, coordinator), "status", "--json")
    assert status == 0
    assert "devices" in out


def test_a_wait_leaves_who_has_been_stopped(coordinator, stub):
    """A long call has no limit of its own: somebody has to look."""
    stopped = stub(what=())
    process = start(urls(stopped, coordinator), "run", "--", "true")
    assert process.communicate(timeout=LIMIT_S)[1] == ""
    assert process.returncode == 0
    assert "GET /healthz HTTP/1.1" in stopped.calls


def test_a_wait_stays_with_who_lives(coordinator, stub):
    """Being granted nothing for long is no reason to go elsewhere."""
    alive = stub(what=("/healthz",))
    process = start(urls(alive, coordinator), "run", "--", "true")
    until(lambda: alive.calls.count("GET /healthz HTTP/1.1") >= 3, "probes")
    assert alive.calls.count("POST /gpu/request HTTP/1.1") == 1
    assert process.poll() is None
    alive.close()  # Now it is not even there.
    until(lambda: process.poll() is not None, "it goes elsewhere")
    assert process.returncode == 0


def test_a_lost_lease_ends_the_program_in_a_cluster(coordinator, tmp_path):
    """Somebody else may be granted the GPU by a coordinator nobody sees."""
    gone = str(tmp_path / "nobody.sock")
    process = start(urls(coordinator, gone), "run", "--service", "x", "--ttl",
                    "2s", "--",
                    "sh", "-c", "echo go; exec sleep 60")
    assert process.stdout.readline() == "go\n"
    lease = coordinator.status()["holders"][0]["lease"]
    coordinator.admin("revoke", lease=lease)
    assert process.wait(LIMIT_S) == 128 + signal.SIGTERM


def test_one_coordinator_is_as_before(coordinator, tmp_path):
    """A program goes on where only one coordinator can grant; and a command
    fails at once where there is none."""
    process = start(urls(coordinator), "run", "--service", "x", "--ttl",
                    "2s", "--", "sh",
                    "-c", "echo go; read line; exit 7", stdin=subprocess.PIPE)
    assert process.stdout.readline() == "go\n"
    lease = coordinator.status()["holders"][0]["lease"]
    coordinator.admin("revoke", lease=lease)
    until(lambda: process.stderr.readline().find("goes on without") > 0,
          "it says so")
    process.stdin.write("end\n")
    process.stdin.close()
    assert process.wait(LIMIT_S) == 7
    status, _, err = call(urls(str(tmp_path / "no.sock")), "status")
    assert (status, "no coordinator at" in err) == (5, True)
