"""A wall clock that jumps (guarantee 4): nothing ends early, nothing hangs, no
order changes; what is displayed follows it.

The program under test is the real one, before whose clocks a preloaded library
stands (tests/lib/fault_clock.c).
"""

import datetime
import mmap
import os
import pathlib
import struct
import time

import pytest

from conftest import BINARY, problem, until

LIBRARY = pathlib.Path(BINARY).resolve().parents[2] / \
    "tests/lib/libfault_clock.so"
TTL_MS = 600000  # Far less than a jump, far more than a test.
JUMPS_H = [9, -9, 0]


class WallClock:
    """The switch of the library."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def environment(self):
        asan = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": str(LIBRARY),
                "FAULT_CLOCK_FILE": str(self.path),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"}

    def shift(self, hours):
        """Let it be so many hours off from now on."""
        struct.pack_into("q", self.map, 0, hours * 3600)


@pytest.fixture(name="clock")
def make_clock(tmp_path):
    return WallClock(tmp_path / "clock")


def now_ms():
    """Return the time that the coordinator counts, in its unit."""
    return time.monotonic_ns() // 10**6


def hours_off(coordinator):
    """Return how far its clock is off, as it shows it."""
    shown = datetime.datetime.fromisoformat(
        coordinator.status()["time"].replace("Z", "+00:00"))
    now = datetime.datetime.now(datetime.timezone.utc)
    return round((shown - now).total_seconds() / 3600)


def test_jumps_of_the_wall_clock_end_nothing_and_change_no_order(make, clock):
    one = make().start(env=clock.environment())
    control = one.control("worker")
    work = one.request("worker", priority=3, ttl_ms=TTL_MS)
    chat = one.ask("chat", priority=0, ttl_ms=TTL_MS)
    control.expect("pause")
    one.ack(work, "paused")
    grants = [chat.result().json]
    waiters = []
    for hours in JUMPS_H:
        clock.shift(hours)
        waiters.append(one.ask(f"waiter{hours}", priority=1, ttl_ms=TTL_MS,
                               timeout_ms=TTL_MS))
        assert hours_off(one) == hours  # The test tests something.
        assert one.lease(work["lease"])["state"] == "paused"
        assert one.lease(grants[0]["lease"])["state"] == "held"
        status = one.status()
        assert [lease["service_id"] for lease in status["waiters"]] == [
            f"waiter{before}" for before in JUMPS_H[:len(waiters)]]
        assert all(0 <= lease["waited_ms"] < TTL_MS
                   for lease in status["waiters"])
        for lease in (work, grants[0]):
            assert 0 < one.renew(lease)["expires_in_ms"] <= TTL_MS
    for hours, waiter in zip([-99, 99, 0], waiters):
        clock.shift(hours)
        one.release(grants[-1])
        grants.append(waiter.result().json)
        assert 0 <= grants[-1]["waited_ms"] < TTL_MS
    one.release(grants[-1])
    resume = control.expect("resume")
    tokens = [grant["token"] for grant in [work, *grants, resume]]
    assert tokens == sorted(tokens)


@pytest.mark.parametrize("hours", [9, -9])
def test_a_jump_of_the_wall_clock_moves_no_deadline(make, clock, hours):
    """A TTL, the grace of a pause and the time of a waiter: all three pass as
    if nothing had happened, not before and at all."""
    one = make("one", "defaults: {pause_grace: 1s}\n")
    one.start(env=clock.environment())
    begin = now_ms()
    silent = one.request("silent", ttl_ms=1000, preemptible=False)
    late = one.ask("late", timeout_ms=500)
    clock.shift(hours)
    answer = late.result()
    assert problem(answer) == "wait-timeout"
    assert now_ms() - begin >= 500
    heir = one.ask("heir", priority=2, ttl_ms=TTL_MS).result()
    assert now_ms() - begin >= 1000
    assert one.lease(silent["lease"])["reason"] == "expired"
    with_stream = one.control("heir")
    begin = now_ms()
    chat = one.ask("chat", priority=0)
    with_stream.expect("pause")
    clock.shift(-hours)
    assert chat.result().status == 200
    assert now_ms() - begin >= 1000
    assert one.lease(heir["lease"])["reason"] == "pause_late"


def test_a_jump_between_two_runs_expires_nothing(make, clock):
    """Guarantees 2 and 8: also what is stored counts by no wall clock."""
    one = make()
    one.start(env=clock.environment())
    held = one.request("worker", ttl_ms=TTL_MS)
    for number, hours in enumerate(JUMPS_H):
        assert one.request(f"task{number}", wait=False, priority=5,
                           job_id="a").status == 202
        one.kill()
        clock.shift(hours)
        one.start(env=clock.environment())
        assert hours_off(one) == hours
        assert 0 < one.renew(held)["expires_in_ms"] <= TTL_MS
    assert [lease["service_id"] for lease in one.status()["waiters"]] == [
        f"task{number}" for number in range(len(JUMPS_H))]
    one.release(held)
    again = one.ask_again("task0", priority=5, job_id="a", wait=True).result()
    assert again["token"] > held["token"]
