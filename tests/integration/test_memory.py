"""A coordinator whose n-th allocation fails, for every n (guarantee 16).

The program under test is the real one: a preloaded library stands before the
C library's malloc() and is armed through a file (tests/lib/fault_malloc.h).
"""

import concurrent.futures
import http.client
import json
import mmap
import os
import pathlib
import signal
import struct
import subprocess
import time

import pytest

from conftest import BINARY, UnixConnection, until

LIBRARY = pathlib.Path(BINARY).resolve().parents[2] / \
    "tests/lib/libfault_malloc.so"
TTL_MS = 1000  # What a lost answer costs at most.
COUNTED = 10 ** 9  # Far away: none fails, they are only counted.
PARTS = 8  # Of a sweep.
STRIDE = 5  # Of the thousands of allocations of a start.


class Memory:
    """The switch of the library in one coordinator."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 24)

    def environment(self):
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": str(LIBRARY),
                "FAULT_MALLOC_FILE": str(self.path),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}

    def arm(self, nth, count=1):
        """Let allocation @nth from now fail, and those after it until @count
        have failed."""
        struct.pack_into("QQ", self.map, 8, count, 0)
        struct.pack_into("Q", self.map, 0, nth + count - 1)

    def left(self):
        """Return how many allocations there are until it is over."""
        return struct.unpack_from("Q", self.map)[0]

    def disarm(self):
        """Let all work again; say whether the last that was to fail did."""
        left, fails, failed = struct.unpack_from("QQQ", self.map)
        struct.pack_into("Q", self.map, 0, 0)
        return left == 0 and failed == fails


class Client:
    """Calls that may fail, and what they were granted."""

    def __init__(self, coordinator):
        self.coordinator = coordinator
        self.grants = []   # Answered 200 and not known to be released.
        self.token_max = 0
        self.open = []     # Connections to be closed.

    def call(self, method, path, **body):
        """Return the answer; None where the connection ended instead."""
        try:
            return self.coordinator.call(method, path, body or None)
        except (OSError, http.client.HTTPException):
            return None

    def request(self, service, **fields):
        fields = {"service_id": service, "ttl_ms": TTL_MS, **fields}
        until_s = time.monotonic() + fields["ttl_ms"] / 1000
        answer = self.call("POST", "/gpu/request", **fields)
        assert answer is None or answer.status in (200, 202, 409, 503), answer
        if answer is None or answer.status != 200:
            return None
        grant = answer.json
        assert grant["token"] > self.token_max, "tokens rise"
        now = time.monotonic()  # On a busy machine, after the TTL of another.
        assert all(other["until_s"] <= now for other in self.grants), \
            "one holder at a time"
        grant["until_s"] = until_s
        self.token_max = grant["token"]
        self.grants.append(grant)
        return grant

    def lease_call(self, name, grant, **fields):
        answer = self.call("POST", f"/gpu/{name}", lease=grant["lease"],
                           token=grant["token"], **fields)
        assert answer is None or answer.status in (200, 409, 503), answer
        if name == "release" and answer is not None and answer.status == 200:
            self.grants.remove(grant)
        return answer

    def send(self, method, path, body=None):
        """Send a call and do not wait for its answer."""
        conn = UnixConnection(self.coordinator.socket)
        try:
            conn.request(method, path, body and json.dumps(body))
            self.open.append(conn.sock)
        except (OSError, http.client.HTTPException):
            return None
        return conn

    def hang_up(self):
        for sock in self.open:
            sock.close()
        self.open = []


def everything(client):
    """One of each call, with answers, streams and clients that hang up."""
    client.send("GET", "/gpu/control/worker")
    client.send("GET", "/gpu/events")
    grant = client.request("worker", job_id="a", metadata={"file": "x" * 99})
    client.request("worker", timeout_ms=0, job_id="b")
    client.send("POST", "/gpu/request",
                {"service_id": "shell", "hold": "connection",
                 "ttl_ms": TTL_MS})
    client.send("GET", "/gpu/control/shell")
    for path in ("/gpu/status", "/metrics", "/openapi.json", "/readyz"):
        client.call("GET", path)
    if grant is not None:
        client.send("GET", f"/gpu/leases/{grant['lease']}?wait_ms=60000")
        client.lease_call("renew", grant)
        client.call("POST", "/gpu/admin/pause", lease=grant["lease"])
        client.lease_call("ack", grant, action="paused")
        client.call("POST", "/gpu/admin/resume", lease=grant["lease"])
        client.lease_call("release", grant)
    client.call("POST", "/gpu/request", service_id="task", wait=False,
                job_id="task")
    client.hang_up()


def tidy(client):
    """With memory again all is as at first, by itself: what nobody attends is
    given back or expires, also what a connection held."""
    coordinator = client.coordinator

    def is_free():
        status = coordinator.status()
        for lease in status["waiters"]:
            coordinator.post("/gpu/cancel", lease=lease["lease"])
        return not status["holders"] and not status["waiters"] and \
            not status["waiting"]
    until(is_free, "nothing is held and nobody waits")
    client.grants = []
    assert coordinator.get("/readyz").status == 200
    grant = client.request("probe", ttl_ms=60000)
    assert grant is not None
    client.lease_call("release", grant)
    assert not client.grants


@pytest.fixture(name="in_parts")
def parts_of_a_sweep(make, tmp_path):
    """Run a sweep in several threads, each with a coordinator, its switch, and
    every PARTS-th number: most of the time all of them only wait."""
    def run(sweep):
        pairs = [(make(str(i)), Memory(tmp_path / f"memory-{i}"))
                 for i in range(PARTS)]
        with concurrent.futures.ThreadPoolExecutor(PARTS) as pool:
            jobs = [pool.submit(sweep, *pair, i + 1)
                    for i, pair in enumerate(pairs)]
            return [job.result() for job in jobs]
    return run


def serves(coordinator):
    try:
        return coordinator.get("/readyz").status == 200
    except (OSError, http.client.HTTPException):
        return False


def is_alive(coordinator):
    """Wait until it serves or has ended, and say which.  It may end with an
    error, but not by a signal, and not with a finding of the sanitizers."""
    until(lambda: coordinator.process.poll() is not None
          or serves(coordinator), "it serves or ends")
    status = coordinator.process.poll()
    log = coordinator.log.read_text(errors="replace")
    assert status in (None, 1) and "Sanitizer" not in log, (status, log)
    return status is None


def finish(coordinator):
    coordinator.stop()
    assert coordinator.process.returncode == 0, coordinator.log.read_text()


@pytest.mark.long
def test_every_failing_allocation_is_survived(in_parts):
    def sweep(coordinator, memory, nth):
        coordinator.start(env=memory.environment())
        client = Client(coordinator)
        everything(client)
        tidy(client)
        was_reached = True
        while was_reached:
            memory.arm(nth)
            everything(client)
            was_reached = memory.disarm()
            assert is_alive(coordinator), nth
            tidy(client)
            nth += PARTS
        finish(coordinator)
        return nth
    assert max(in_parts(sweep)) > 50


@pytest.mark.long
def test_every_first_allocation_of_its_kind_may_fail(in_parts):
    """Nothing has grown yet in a fresh coordinator."""
    def sweep(coordinator, memory, nth):
        client = Client(coordinator)
        was_reached = True
        while was_reached:
            coordinator.start(env=memory.environment())
            memory.arm(nth)
            everything(client)
            was_reached = memory.disarm()
            assert is_alive(coordinator), nth
            tidy(client)
            finish(coordinator)
            nth += PARTS
        return nth
    assert max(in_parts(sweep)) > 50


def before_main(memory):
    """Return how many allocations the libraries make as they are loaded."""
    memory.arm(COUNTED)
    subprocess.run([BINARY, "--version"], check=True, capture_output=True,
                   env={**os.environ, **memory.environment()})
    return COUNTED - memory.left()


@pytest.mark.long
def test_start_without_memory_says_so_and_takes_nothing(in_parts):
    def sweep(coordinator, memory, part):
        client = Client(coordinator)
        nth = before_main(memory) + part
        ended, was_reached = 0, True
        while was_reached:
            memory.arm(nth)
            coordinator.process = coordinator.spawn(env=memory.environment())
            if is_alive(coordinator):
                was_reached = memory.disarm()
                tidy(client)
                finish(coordinator)
            else:
                memory.disarm()
                ended += 1
            nth += STRIDE * PARTS
        assert "out of memory" in coordinator.log.read_text()
        return ended
    assert sum(in_parts(sweep)) > 10


# What a reload that failed has read is in use nowhere.
@pytest.mark.long
def test_a_reload_without_memory_changes_nothing(in_parts):
    def ends(log):
        return log.count("configuration read again") + \
            log.count("the configuration stays as it was")

    def sweep(coordinator, memory, nth):
        coordinator.configure(
            "classes: {work: {priority: 3}}\n"
            "services: {task: {class: work, processes: {exe: [a, b]}}}\n")
        coordinator.start(env=memory.environment())
        was_reached = True
        while was_reached:
            before = ends(coordinator.log.read_text())
            memory.arm(nth)
            coordinator.process.send_signal(signal.SIGHUP)
            until(lambda: ends(coordinator.log.read_text()) > before, "read")
            was_reached = memory.disarm()
            assert is_alive(coordinator), nth
            grant = coordinator.request("task")
            assert grant["class"] == "work"
            coordinator.release(grant)
            nth += PARTS
        finish(coordinator)
        return "stays as it was" in coordinator.log.read_text()
    assert any(in_parts(sweep))


@pytest.mark.long
@pytest.mark.parametrize("count", [3, 1000000])
def test_longer_shortage_of_memory_costs_at_most_a_restart(in_parts, count):
    def sweep(coordinator, memory, nth):
        client = Client(coordinator)
        coordinator.start(env=memory.environment())
        everything(client)
        tidy(client)
        for n in range(nth, 90, 2 * PARTS):
            memory.arm(n, count)
            everything(client)
            memory.disarm()
            client.hang_up()
            if not is_alive(coordinator):
                coordinator.start(env=memory.environment())
            tidy(client)
        finish(coordinator)
    in_parts(sweep)
