"""Which processes the rungs reach: C2, C3, B8.

The card is simulated: a file named after a living process is what that
process uses.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, until

GRACES = "defaults: {pause_grace: 200ms, rung_grace: 5s}\n"

# Leaves its VRAM to a child that has left its group and session, whose parent
# has died, and that passes over SIGTERM.
ESCAPING = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open({gpu!r} + "/new", "w") as file:
            file.write("9000")
        os.rename({gpu!r} + "/new", {gpu!r} + "/%d" % os.getpid())
        while True:
            time.sleep(1000)
    os._exit(0)
os.wait()
time.sleep(1000)
"""


def users(one):
    """Return what the status says of each process on the card, by its pid."""
    return {user["pid"]: user
            for user in one.status()["devices"][0]["processes"] or []}


def is_gone(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_c3_who_forks_away_under_run_is_reached_without_a_cgroup(
        make, tmp_path):
    """It is a child of `run` from then on."""
    one = make(verify="", extra=GRACES).start()
    program = ESCAPING.format(gpu=str(one.gpu))
    run = subprocess.Popen(
        [BINARY, "run", "--service", "train", "--on-pause", "term,kill",
         "--vram", "9000", "--", sys.executable, "-c", program],
        env={**os.environ, "GPUCOORD_URL": f"unix://{one.socket}"})
    try:
        until(lambda: users(one), "it uses the card")
        [pid] = users(one)
        lease = one.status()["holders"][0]["lease"]
        until(lambda: users(one)[pid]["lease"] == lease, "it is the lease's")
        chat = one.ask("gemma", priority=0).result()
        assert chat.status == 200
        until(lambda: is_gone(pid), "it was ended")
        assert run.wait(20) == 128 + signal.SIGTERM
    finally:
        run.kill()
        run.wait()
        for pid in users(one):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(name="engine")
def make_engine(tmp_path):
    """A program of its own name, whose processes end with the test."""
    program = tmp_path / "engine"
    shutil.copy(shutil.which("sleep"), program)
    made = []

    def start():
        made.append(subprocess.Popen([str(program), "1000"]))
        return made[-1]

    start.rules = ("services:\n  engine:\n    ladder: [ask, kill]\n"
                   f"    processes: {{exe: {program}}}\n")
    yield start
    for process in made:
        process.kill()
        process.wait()


def test_b8_the_processes_of_a_service_are_reached_by_its_rules(make, engine):
    """It speaks over TCP, say, and names nobody to watch."""
    one = make(extra=engine.rules + GRACES).start()
    both = [engine(), engine()]
    work = one.request("engine", priority=3)
    assert one.ask("gemma", priority=0).result().status == 200
    assert [process.wait(20) for process in both] == 2 * [-signal.SIGKILL]
    walk = one.lease(work["lease"])["walk"]
    assert [(step["rung"], step["outcome"]) for step in walk] == [
        ("ask", "late"), ("kill", "ok")]


def test_what_could_be_another_leases_is_left_alone(make, engine):
    """Of two leases of a service nobody can say whose its processes are."""
    one = make(extra=engine.rules + GRACES).start()
    process = engine()
    work = one.request("engine", vram_mib=1000)
    other = one.request("engine", vram_mib=1000)
    one.admin("revoke", lease=work["lease"])
    until(lambda: one.lease(work["lease"])["state"] == "ended", "ended")
    [step] = one.lease(work["lease"])["walk"]
    assert (step["rung"], step["outcome"]) == ("kill", "skipped")
    assert "other leases" in step["reason"]
    assert process.poll() is None
    assert one.lease(other["lease"])["state"] == "held"
