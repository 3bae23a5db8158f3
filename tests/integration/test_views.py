"""What is shown of those who wait, hold and have ended: B3, C10."""

import os
import subprocess

import pytest

from conftest import BINARY, problem, until


def say(coordinator, *words):
    """Return what a command of the program prints."""
    done = subprocess.run(
        [BINARY, *words], text=True, capture_output=True, check=True,
        env={**os.environ, "GPUCOORD_URL": f"unix://{coordinator.socket}"})
    return done.stdout


def test_b3_tasks_that_nobody_attends_are_in_the_status(coordinator):
    tasks = [coordinator.request("dur", job_id=f"t{i}", priority=1,
                                 wait=False) for i in range(3)]
    assert [task["position"] for task in tasks] == [1, 2, 3]
    status = coordinator.status()
    assert [lease["job_id"] for lease in status["waiters"]] == [
        "t0", "t1", "t2"]
    assert {lease["state"] for lease in status["waiters"]} == {"away"}
    assert [lease["why"]["position"] for lease in status["waiters"]] == [
        1, 2, 3]
    assert (status["waiting"], status["away"]) == (0, 3)
    assert status["queue_sizes"]["priority-1"] == 3
    text = say(coordinator, "status")
    assert "3 wait (3 away)" in text
    assert "t2" in text


def test_b3_those_who_are_away_are_listed_behind_the_others(coordinator):
    coordinator.request("holder", priority=0)
    task = coordinator.request("dur", job_id="t", priority=1, wait=False)
    waiter = coordinator.ask("here", priority=1)
    late = coordinator.request("dur", job_id="u", priority=1, wait=False)
    assert (task["position"], late["position"]) == (1, 3)
    waiters = coordinator.status()["waiters"]
    assert [lease["service_id"] for lease in waiters] == ["here", "dur", "dur"]
    assert not waiter.is_over


def test_timeout_on_a_drained_device_says_so(coordinator):
    coordinator.admin("drain", device=0)
    late = coordinator.request("x", timeout_ms=0)
    assert (late.status, problem(late)) == (503, "wait-timeout")
    assert "drained" in late["detail"]


def test_timeout_without_a_holder_has_a_detail(make):
    coordinator = make(verify="").start()
    coordinator.use_vram(20000)
    until(lambda: coordinator.status()["devices"][0]["used_mib"] == 20000,
          "measured")
    late = coordinator.request("x", vram_mib=10000, timeout_ms=0)
    assert problem(late) == "wait-timeout"
    assert "too little is free" in late["detail"]


@pytest.mark.parametrize("fields,word", [
    ({"preemptible": False}, "not preemptible"),
    ({"preemptible": True}, "would not hear"),
])
def test_a_pause_that_cannot_be_says_why(coordinator, fields, word):
    grant = coordinator.request("x", **fields)
    refused = coordinator.admin("pause", lease=grant["lease"])
    assert (refused.status, problem(refused)) == (409, "wrong-state")
    assert word in refused["detail"]


def test_a_resume_that_cannot_be_says_why(coordinator):
    grant = coordinator.request("x")
    refused = coordinator.admin("resume", lease=grant["lease"])
    assert (refused.status, problem(refused)) == (409, "wrong-state")
    assert "not paused" in refused["detail"]


def test_an_ended_lease_is_shown_with_its_names(coordinator):
    sent = {"job_id": "j", "metadata": {"file": "a.wav"}}
    grant = coordinator.request("x", **sent)
    coordinator.release(grant)
    until(lambda: coordinator.lease(grant["lease"])["state"] == "ended",
          "it has ended")
    view = coordinator.lease(grant["lease"])
    assert {key: view[key] for key in sent} == sent
    again = coordinator.request("x", **sent)  # The job is free again.
    assert again["lease"] != grant["lease"]


def test_cancelling_twice_is_cancelling(coordinator):
    task = coordinator.request("x", job_id="t", wait=False)
    for _ in range(2):
        answer = coordinator.post("/gpu/cancel", lease=task["lease"])
        assert (answer.status, answer["reason"]) == (200, "cancelled")
    grant = coordinator.request("x")
    coordinator.release(grant)
    released = coordinator.post("/gpu/cancel", lease=grant["lease"])
    assert (released.status, problem(released)) == (409, "ended")


def test_c10_a_wait_for_a_holder_is_bounded_by_its_ttl(coordinator):
    coordinator.request("holder", priority=0, ttl_ms=60000)
    coordinator.ask("x")
    why = coordinator.status()["waiters"][0]["why"]
    assert 0 < why["until_in_ms"] <= 60000
    assert why["unless_renewed"]
    assert "unless it renews" in say(coordinator, "status")
    text = say(coordinator, "why", "x")
    assert "until when: at the latest in " in text
    assert "unless it renews" in text


def test_c10_a_ceiling_on_holding_is_not_renewed_away(make):
    coordinator = make(extra="defaults: {max_hold: 30s}\n").start()
    coordinator.request("holder", priority=0, ttl_ms=60000)
    coordinator.ask("x")
    why = coordinator.status()["waiters"][0]["why"]
    assert 0 < why["until_in_ms"] <= 30000
    assert not why["unless_renewed"]
