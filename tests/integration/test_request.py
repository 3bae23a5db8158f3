"""Requests and releases over HTTP: B1, B2, B3, C3, C5, C6, C10."""

import json
import re
import socket
import subprocess
import threading

import pytest

from conftest import Stream, problem, until


def test_b1_three_fields_are_enough(coordinator):
    grant = coordinator.call(
        "POST", "/gpu/request",
        '{"service_id":"gemma-service","priority":0,"timeout_ms":5000}')
    assert grant.status == 200
    assert grant["state"] == "held"
    assert grant["service_id"] == "gemma-service"
    assert grant["devices"][0]["vram_mib"] == 24576 - 256
    assert grant["renew_in_ms"] == 10000


def test_b2_release_by_lease_and_token(coordinator):
    grant = coordinator.request("x")
    answer = coordinator.release(grant)
    assert answer.status == 200
    assert answer["state"] == "ended"
    assert answer["reason"] == "released"
    assert coordinator.release(grant).status == 200  # For a minute.


def test_b2_release_by_service_alone_also_while_it_pauses_or_is_paused(
        coordinator):
    """A waiter of the same service does not make it ambiguous."""
    for is_paused in (False, True):
        control = coordinator.control("x")
        work = coordinator.request("x", priority=2)
        chat = coordinator.ask("gemma", priority=0)
        later = coordinator.request("x", priority=2, job_id="later",
                                    wait=False)
        control.expect("pause")
        if is_paused:
            coordinator.ack(work, "paused")
            chat.result()
        state = coordinator.lease(work["lease"])["state"]
        assert state == ("paused" if is_paused else "pausing")
        ended = coordinator.post("/gpu/release", service_id="x")
        assert ended.status == 200
        assert coordinator.lease(work["lease"])["reason"] == "released"
        coordinator.post("/gpu/cancel", lease=later["lease"])
        coordinator.release(chat.result())
        control.close()


def test_a_release_says_how_long_it_was_held(coordinator):
    grant = coordinator.request("x")
    until(lambda: coordinator.lease(grant["lease"])["held_ms"] > 20,
          "it is held for a while")
    first = coordinator.release(grant)
    assert first["held_ms"] > 20
    assert coordinator.release(grant).json == first.json


def test_b2_release_by_service_alone(coordinator):
    coordinator.request("x", vram_mib=1000)
    assert coordinator.post("/gpu/release", service_id="x").status == 200
    none = coordinator.post("/gpu/release", service_id="x")
    assert (none.status, problem(none)) == (409, "ambiguous")
    coordinator.request("x", vram_mib=1000)
    coordinator.request("x", vram_mib=1000)
    two = coordinator.post("/gpu/release", service_id="x")
    assert (two.status, problem(two)) == (409, "ambiguous")


def test_c6_stale_token_is_refused(coordinator):
    """A holder that was away must not end what another one holds."""
    grant = coordinator.request("x")
    wrong = {"lease": grant["lease"], "token": grant["token"] - 1}
    for call in ("release", "renew", "ack"):
        extra = {"action": "paused"} if call == "ack" else {}
        answer = coordinator.post(f"/gpu/{call}", **wrong, **extra)
        assert (answer.status, problem(answer)) == (409, "stale-token")
    assert coordinator.status()["gpu_lock"]["is_locked"]


def test_c6_tokens_rise(coordinator):
    tokens = []
    for _ in range(20):
        grant = coordinator.request("x")
        tokens.append(grant["token"])
        coordinator.release(grant)
    assert tokens == sorted(set(tokens))


def test_c5_vram_is_shared_while_it_fits(coordinator):
    first = coordinator.request("a", vram_mib=16000)
    second = coordinator.request("b", vram_mib=4000)
    assert (first.status, second.status) == (200, 200)
    third = coordinator.request("c", vram_mib=8000, timeout_ms=0)
    assert (third.status, problem(third)) == (503, "wait-timeout")
    coordinator.release(first)
    assert coordinator.request("c", vram_mib=8000).status == 200


def test_timeout_says_who_was_in_the_way(coordinator):
    coordinator.request("holder", priority=0)
    late = coordinator.request("late", priority=0, timeout_ms=50)
    assert (late.status, problem(late)) == (503, "wait-timeout")
    assert "'holder' has it" in late["detail"]
    most = re.search(r"for at most (\d+) ms more", late["detail"])
    assert 20000 < int(most[1]) <= 30000
    assert int(late.headers["Retry-After"]) > 0


def test_timeout_keeps_the_place_of_a_job(coordinator):
    coordinator.request("holder", priority=0)
    late = coordinator.request("late", job_id="j", timeout_ms=50)
    assert late["retry_after_ms"] > 0
    assert "Retry-After" in late.headers


@pytest.mark.parametrize("fields,field", [
    ({"vram_mib": 30000}, "vram_mib"),
    ({"gpus": 2}, "gpus"),
    ({"device": 7}, "device"),
    ({"device": "GPU-none"}, "device"),
    ({"class": "nobody"}, "class"),
    ({"class": "chatbot", "priority": 2}, "priority"),
    ({"wait": False}, "job_id"),
    ({"watch_pid": 1 << 21}, "watch_pid"),
])
def test_impossible_requests_name_their_field(coordinator, fields, field):
    answer = coordinator.request("x", **fields)
    assert answer.status == 422, answer
    assert answer["field"] == field


def test_same_job_is_one_lease(coordinator):
    """The client retried: it must not wait for itself (guarantee 5)."""
    first = coordinator.request("x", job_id="j")
    again = coordinator.request("x", job_id="j")
    assert (again.status, again["lease"]) == (200, first["lease"])
    assert again["token"] == first["token"]
    other = coordinator.request("x", job_id="j", vram_mib=100)
    assert (other.status, problem(other)) == (409, "job-conflict")


def test_newest_connection_speaks_for_a_waiting_job(coordinator):
    holder = coordinator.request("holder", priority=0)
    old = coordinator.ask("x", job_id="j")
    new = coordinator.ask_again("x", job_id="j")
    answer = old.result()
    assert (answer.status, problem(answer)) == (409, "superseded")
    coordinator.release(holder)
    assert new.result().status == 200


def test_waiter_that_hangs_up_leaves_the_queue(coordinator):
    holder = coordinator.request("holder", priority=0)
    gone = coordinator.ask("gone")
    next_one = coordinator.ask("next")
    gone.close()
    until(lambda: coordinator.status()["waiting"] == 1, "it has left")
    coordinator.release(holder)
    assert next_one.result().status == 200


def test_a_grant_that_cannot_be_written_is_undone_at_once(coordinator):
    """Guarantee 7: its client reads no more, though it has not gone; the next
    one does not wait for its TTL of ten minutes."""
    holder = coordinator.request("holder", priority=0)
    body = json.dumps({"service_id": "deaf", "ttl_ms": 600000})
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(coordinator.socket)
        deaf.shutdown(socket.SHUT_RD)
        deaf.sendall(f"POST /gpu/request HTTP/1.1\r\nHost: gpu\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        until(lambda: coordinator.status()["waiting"] == 1, "it waits")
        lease = coordinator.status()["waiters"][0]["lease"]
        next_one = coordinator.ask("next")
        coordinator.release(holder)
        assert next_one.result().status == 200
    view = coordinator.lease(lease)
    assert (view["state"], view["reason"]) == ("ended", "released")
    assert view["token"] < next_one.result()["token"]


def test_cancel_ends_a_wait(coordinator):
    coordinator.request("holder", priority=0)
    waiter = coordinator.ask("x")
    lease = coordinator.status()["waiters"][0]["lease"]
    answer = coordinator.post("/gpu/cancel", lease=lease)
    assert (answer.status, answer["reason"]) == (200, "cancelled")
    assert waiter.result().status != 200
    assert coordinator.lease(lease)["reason"] == "cancelled"


def test_a_grant_is_told_once_to_the_stream_that_brought_it(coordinator):
    task = coordinator.request("x", wait=False, job_id="t")
    control = coordinator.control("x")
    grant = control.expect("grant")
    assert grant["lease"] == task["lease"]
    coordinator.admin("revoke", lease=task["lease"])
    control.expect("revoke")  # Whatever came before it has been read.
    assert control.names().count("grant") == 1


def test_task_is_granted_when_its_service_attends(coordinator):
    holder = coordinator.request("holder", priority=0)
    task = coordinator.request("x", wait=False, job_id="t",
                               metadata={"file": "a.wav"})
    assert (task.status, task["state"]) == (202, "queued")
    coordinator.release(holder)
    stream = coordinator.control("x")
    grant = stream.expect("grant")
    assert grant["lease"] == task["lease"]
    view = coordinator.lease(grant["lease"])
    assert (view["job_id"], view["metadata"]) == ("t", {"file": "a.wav"})


def test_b3_status_says_what_is_used_and_how_old_that_is(make):
    coordinator = make(verify="").start()
    coordinator.use_vram(900)
    device = until(
        lambda: next((device for device in coordinator.status()["devices"]
                      if device["used_mib"] == 900), None), "measured")
    assert device["source"] == "simulated"
    assert device["age_ms"] < 60000
    assert device["unleased_mib"] == 900


def test_c10_why(coordinator):
    grant = coordinator.request("holder", priority=0)
    coordinator.ask("x")
    waiter = coordinator.status()["waiters"][0]
    why = coordinator.lease(waiter["lease"])["why"]
    assert why["position"] == 1
    assert why["blocker"]["lease"] == grant["lease"]
    assert why["blocker"]["service_id"] == "holder"
    assert why["estimate_ms"] is None  # Fewer than five observations.


def test_c10_estimate_needs_five_observations(coordinator):
    for _ in range(5):
        coordinator.release(coordinator.request("holder", priority=0))
    coordinator.request("holder", priority=0)
    coordinator.ask("x")
    waiter = coordinator.status()["waiters"][0]
    assert waiter["why"]["estimate_ms"] is not None
    assert waiter["why"]["observations"] == 5


def test_look_blocks_until_the_state_changes(coordinator):
    grant = coordinator.request("x")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        coordinator.get(f"/gpu/leases/{grant['lease']}?wait_ms=15000")))
    thread.start()
    coordinator.release(grant)
    thread.join(20)
    assert answers[0]["state"] == "ended"


def test_hold_by_connection(coordinator):
    stream = Stream(coordinator, "/gpu/request", "POST",
                    '{"service_id":"shell","hold":"connection"}')
    grant = stream.expect("grant")
    assert coordinator.lease(grant["lease"])["state"] == "held"
    stream.close()
    until(lambda: coordinator.lease(grant["lease"])["state"] == "ended",
          "the lease ends with the connection")


def test_a_renewal_can_name_one_more_process(coordinator):
    """C3: `run` has a child only once it has the lease."""
    first = subprocess.Popen(["sleep", "1000"])
    second = subprocess.Popen(["sleep", "1000"])
    try:
        grant = coordinator.request("x", watch_pid=first.pid)
        name = {"lease": grant["lease"], "token": grant["token"]}
        stale = {**name, "token": grant["token"] + 1}
        assert coordinator.post("/gpu/renew", watch_pid=second.pid,
                                **stale).status == 409
        wrong = coordinator.post("/gpu/renew", watch_pid=1 << 21, **name)
        assert (wrong.status, wrong["field"]) == (422, "watch_pid")
        assert coordinator.post("/gpu/renew", watch_pid=second.pid,
                                **name).status == 200
        first.kill()
        first.wait()
        assert coordinator.post("/gpu/renew", **name).status == 200
        second.kill()
        second.wait()
        until(lambda: coordinator.lease(grant["lease"])["state"] == "ended",
              "the lease ends with the last of its processes")
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def test_death_of_a_watched_process_ends_the_lease(coordinator):
    """C3: noticed at once, not after the TTL."""
    child = subprocess.Popen(["sleep", "1000"])
    grant = coordinator.request("x", watch_pid=child.pid)
    assert grant.status == 200
    child.kill()
    child.wait()
    until(lambda: not coordinator.status()["gpu_lock"]["is_locked"],
          "the GPU is free")
