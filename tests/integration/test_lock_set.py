"""What a lease is worth by itself, and what its token adds: a counter that two
count up, one of whom is stopped for longer than its lease lasts."""

import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import LIMIT_S, until

# Take the GPU, read the counter, think (until a line comes), write.  A store that
# looks at tokens refuses one below the highest it has seen; then all is done
# again under a new lease.
WORKER = """
import fcntl, http.client, json, pathlib, socket, sys
sys.path.insert(0, {tests!r})
from conftest import UnixConnection

name, place, is_guarded = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]

def call(path, **body):
    conn = UnixConnection({socket!r})
    conn.request("POST", path, json.dumps(body))
    return json.loads(conn.getresponse().read())

def write(value, token):
    with open(place, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        seen = int(file.read().split()[1])
        if is_guarded and token < seen:
            return False
        file.seek(0)
        file.truncate()
        file.write(f"{{value}} {{max(token, seen)}}")
    return True

while True:
    grant = call("/gpu/request", service_id=name, ttl_ms=1000)
    value = int(place.read_text().split()[0])
    print("read", flush=True)
    sys.stdin.readline()
    done = write(value + 1, grant["token"])
    call("/gpu/release", lease=grant["lease"], token=grant["token"])
    print("written" if done else "refused", flush=True)
    if done:
        break
"""


@pytest.fixture(name="work")
def start_work(coordinator, tmp_path):
    """Start a worker; it is killed at the end."""
    made = []
    script = WORKER.format(tests=str(pathlib.Path(__file__).parent),
                           socket=str(coordinator.socket))

    def start(name, *guard):
        made.append(subprocess.Popen(
            [sys.executable, "-c", script, name, tmp_path / "counter", *guard],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return made[-1]

    (tmp_path / "counter").write_text("0 0")
    yield start
    for process in made:
        process.kill()
        process.communicate()


def go_on(worker):
    worker.stdin.write("\n")
    worker.stdin.flush()


def overtake(coordinator, work, *guard):
    """Have one count while another, which has read, is stopped past its TTL;
    return that one, going on."""
    stopped = work("stopped", *guard)
    assert stopped.stdout.readline() == "read\n"
    stopped.send_signal(signal.SIGSTOP)
    other = work("other", *guard)
    assert other.stdout.readline() == "read\n"  # The lease has run out.
    go_on(other)
    assert other.stdout.readline() == "written\n"
    assert other.wait(LIMIT_S) == 0
    until(lambda: not coordinator.status()["holders"], "the GPU is free")
    stopped.send_signal(signal.SIGCONT)
    go_on(stopped)
    return stopped


def test_a_lease_alone_may_lose_an_update(coordinator, work, tmp_path):
    stopped = overtake(coordinator, work)
    assert stopped.stdout.readline() == "written\n"
    assert (tmp_path / "counter").read_text().split()[0] == "1"  # Of two.


def test_guarded_by_the_token_no_update_is_lost(coordinator, work, tmp_path):
    """Guarantee 3, where it counts: in what the holder writes to."""
    stopped = overtake(coordinator, work, "guarded")
    assert stopped.stdout.readline() == "refused\n"
    assert stopped.stdout.readline() == "read\n"
    go_on(stopped)
    assert stopped.stdout.readline() == "written\n"
    assert (tmp_path / "counter").read_text().split()[0] == "2"
