"""Graceful preemption over HTTP: B5, C4, C9."""

import subprocess

import pytest

from conftest import problem, until


def background(coordinator, **fields):
    return coordinator.request("transcription",
                               **{"class": "transcription", **fields})


def test_b5_pause_ack_grant_release_resume(coordinator):
    control = coordinator.control("transcription")
    work = background(coordinator)
    chat = coordinator.ask("gemma", priority=0)
    pause = control.expect("pause")
    assert pause["lease"] == work["lease"]
    assert pause["token"] == work["token"]
    assert pause["requester"] == "gemma"
    assert 0 < pause["deadline_ms"] <= 10000
    assert not chat.is_over  # Not before the ack.
    assert coordinator.lease(work["lease"])["state"] == "pausing"

    ack = coordinator.ack(work, "paused", vram_mib=0)
    assert (ack.status, ack["lease"]) == (200, work["lease"])
    grant = chat.result()
    assert grant["token"] > work["token"]
    assert coordinator.lease(work["lease"])["state"] == "paused"
    assert coordinator.ack(work, "paused").status == 200  # Repeated.

    coordinator.release(grant)
    resume = control.expect("resume")
    assert resume["lease"] == work["lease"]
    assert resume["token"] > grant["token"]
    assert coordinator.ack(resume, "resumed").status == 200
    assert coordinator.release(resume).status == 200
    assert control.names() == ["grant", "pause", "resume"]


def test_b5_a_poller_hears_of_pause_and_resume_by_renewing(coordinator):
    work = background(coordinator)
    assert work["renew_in_ms"] == 1000
    chat = coordinator.ask("gemma", priority=0)
    control = until(lambda: coordinator.renew(work)["control"], "told")
    assert control["action"] == "pause"
    coordinator.ack(work, "paused")
    grant = chat.result()
    assert coordinator.renew(work)["control"] is None
    coordinator.release(grant)
    control = until(lambda: coordinator.renew(work)["control"], "told")
    assert control["action"] == "resume"
    assert control["token"] > work["token"]
    stale = coordinator.release(work)
    assert (stale.status, problem(stale)) == (409, "stale-token")
    assert coordinator.release(control).status == 200


def test_c1_grant_waits_for_the_measured_drop(make):
    """The ack says that the VRAM is free; the card says otherwise."""
    coordinator = make(verify="").start()
    control = coordinator.control("transcription")
    work = background(coordinator)
    coordinator.use_vram(16000)
    chat = coordinator.ask("gemma", priority=0, vram_mib=16000)
    control.expect("pause")
    coordinator.ack(work, "paused", vram_mib=0)
    waiter = coordinator.status()["waiters"][0]
    assert waiter["why"]["wait"] == "vram"
    assert not chat.is_over
    coordinator.use_vram(0)
    assert chat.result().status == 200


def test_error_ack_takes_the_lease_back(coordinator):
    control = coordinator.control("transcription")
    work = background(coordinator)
    chat = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    coordinator.ack(work, "error", detail="cannot stop now")
    assert control.expect("revoke")["lease"] == work["lease"]
    assert chat.result().status == 200
    gone = coordinator.renew(work)
    assert (gone.status, problem(gone)) == (409, "revoked")


def test_a_stream_begins_with_the_present_command(coordinator):
    work = background(coordinator)
    chat = coordinator.ask("gemma", priority=0)
    until(lambda: coordinator.renew(work)["control"], "asked to pause")
    control = coordinator.control("transcription")
    assert control.expect("pause")["lease"] == work["lease"]
    coordinator.ack(work, "paused")
    assert chat.result().status == 200


def test_a_chat_is_not_preempted(coordinator):
    chat = coordinator.request("gemma", **{"class": "chatbot"})
    late = coordinator.request("other", priority=0, timeout_ms=50)
    assert problem(late) == "wait-timeout"
    assert coordinator.renew(chat)["control"] is None


def test_an_operator_pauses_and_resumes(coordinator):
    control = coordinator.control("transcription")
    work = background(coordinator)
    assert coordinator.admin("pause", lease=work["lease"]).status == 200
    control.expect("pause")
    coordinator.ack(work, "paused")
    until(lambda: coordinator.lease(work["lease"])["state"] == "paused",
          "paused")
    coordinator.admin("resume", lease=work["lease"])
    assert control.expect("resume")["lease"] == work["lease"]


def test_c9_linger_keeps_the_seat(make):
    extra = ("classes:\n  chatbot: {priority: 0, linger: 20s}\n"
             "  files: {priority: 2}\n")
    coordinator = make(extra=extra).start()
    chat = coordinator.request("gemma", **{"class": "chatbot"})
    files = coordinator.ask("files", **{"class": "files"})
    coordinator.release(chat)
    again = coordinator.request("gemma", **{"class": "chatbot"})
    assert again.status == 200
    assert not files.is_over
    assert coordinator.status()["waiters"][0]["why"]["wait"] in (
        "holder", "linger")


def test_a_holder_that_does_not_answer_loses_the_gpu_at_its_deadline(make):
    """It hangs (guarantee 10): its grace is honoured, and then it is told."""
    coordinator = make(extra="defaults: {pause_grace: 1s}\n").start()
    control = coordinator.control("transcription")
    work = background(coordinator)
    chat = coordinator.ask("gemma", priority=0)
    assert 0 < control.expect("pause")["deadline_ms"] <= 1000
    assert chat.result()["waited_ms"] >= 1000
    revoke = control.expect("revoke")
    assert (revoke["lease"], revoke["reason"]) == (work["lease"],
                                                   "pause_late")
    late = coordinator.ack(work, "paused")
    assert (late.status, problem(late)) == (409, "revoked")


def test_a_holder_that_dies_while_it_pauses_makes_room_at_once(make):
    """C3: not after its grace, nor its TTL."""
    coordinator = make(extra="defaults: {pause_grace: 10min}\n").start()
    child = subprocess.Popen(["sleep", "1000"])
    control = coordinator.control("transcription")
    work = background(coordinator, watch_pid=child.pid, ttl_ms=600000)
    chat = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    child.kill()
    child.wait()
    assert chat.result().status == 200
    assert coordinator.lease(work["lease"])["state"] == "ended"


def test_a_paused_holder_that_dies_is_not_resumed(coordinator):
    control = coordinator.control("transcription")
    child = subprocess.Popen(["sleep", "1000"])
    work = background(coordinator, watch_pid=child.pid)
    chat = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    coordinator.ack(work, "paused")
    grant = chat.result()
    child.kill()
    child.wait()
    until(lambda: coordinator.lease(work["lease"])["state"] == "ended",
          "its end is noticed")
    coordinator.release(grant)
    assert coordinator.request("next", priority=2).status == 200
    assert "resume" not in control.names()


@pytest.mark.long
def test_a_holder_that_keeps_memory_after_its_ack_is_charged_for_it(make):
    """It lies: a chat that needs the room goes on waiting for it, and the
    status says how much of it is not accounted for."""
    coordinator = make(verify="").start()
    control = coordinator.control("transcription")
    work = background(coordinator)
    coordinator.use_vram(20000)
    until(lambda: coordinator.status()["devices"][0]["used_mib"] == 20000,
          "measured")
    chat = coordinator.ask("gemma", priority=0, vram_mib=16000,
                           timeout_ms=8000)
    control.expect("pause")
    coordinator.ack(work, "paused", vram_mib=0)
    late = chat.result()
    assert (late.status, problem(late)) == (503, "wait-timeout")
    device = coordinator.status()["devices"][0]
    assert device["free_mib"] < 16000
    assert device["used_mib"] == 20000


def test_of_two_pauses_of_one_holder_each_chat_gets_its_turn(coordinator):
    """A resume is guarded: the second chat comes before it."""
    control = coordinator.control("transcription")
    work = background(coordinator)
    first = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    coordinator.ack(work, "paused")
    grant = first.result()
    second = coordinator.ask("voice", priority=1)
    coordinator.release(grant)
    grant = second.result()
    assert coordinator.lease(work["lease"])["state"] == "paused"
    coordinator.release(grant)
    assert control.expect("resume")["lease"] == work["lease"]
