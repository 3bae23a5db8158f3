"""Graceful preemption over HTTP: B5, C4, C9."""

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
