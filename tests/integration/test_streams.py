"""What a service hears on its control stream, and what a stream is worth:
B5, C4, guarantee 7."""

from conftest import Stream, until


def test_c4_a_warm_model_is_asked_to_unload(make):
    """Release is not unload: the room is asked for when somebody needs it."""
    coordinator = make(verify="").start()
    control = coordinator.control("asr")
    work = coordinator.request("asr", vram_mib=16000)
    coordinator.use_vram(16000)
    until(lambda: coordinator.status()["devices"][0]["used_mib"] == 16000,
          "the model is loaded")
    coordinator.release(work)
    chat = coordinator.ask("gemma", priority=0, vram_mib=16000)
    unload = control.expect("unload")
    assert unload["release_mib"] > 0
    assert 0 < unload["deadline_ms"] <= 5000
    assert not chat.is_over
    coordinator.use_vram(0)
    assert chat.result().status == 200


def test_c4_a_warm_model_is_the_services_own_next_room(make):
    coordinator = make(verify="").start()
    work = coordinator.request("asr", vram_mib=16000)
    coordinator.use_vram(16000)
    until(lambda: coordinator.status()["devices"][0]["used_mib"] == 16000,
          "the model is loaded")
    coordinator.release(work)
    again = coordinator.request("asr", vram_mib=16000, timeout_ms=5000)
    assert again.status == 200


def hold_with_stream(coordinator, **fields):
    """Hold with a stream open, and close it; in the millisecond in which a
    lease was heard of its stream's end means nothing."""
    control = coordinator.control("x")
    grant = coordinator.request("x", **fields)
    until(lambda: coordinator.lease(grant["lease"])["state_ms"] > 1,
          "a millisecond passes")
    control.close()
    return grant


def test_leases_outlive_their_last_stream_by_its_grace(make):
    coordinator = make(extra="defaults: {stream_grace: 15s}\n").start()
    grant = hold_with_stream(coordinator, ttl_ms=60000)
    until(lambda: 0 < coordinator.lease(grant["lease"])["expires_in_ms"]
          <= 15000, "it has the grace only")
    coordinator.control("x")
    assert coordinator.renew(grant)["expires_in_ms"] > 50000
    assert coordinator.lease(grant["lease"])["expires_in_ms"] > 50000


def test_leases_end_with_the_grace_of_their_last_stream(coordinator):
    grant = hold_with_stream(coordinator, ttl_ms=600000)
    until(lambda: coordinator.lease(grant["lease"])["state"] == "ended",
          "it has ended")
    assert coordinator.lease(grant["lease"])["reason"] == "expired"


def test_a_stream_never_renews(coordinator):
    control = coordinator.control("x")
    grant = coordinator.request("x", ttl_ms=1000)
    assert control.expect("revoke")["reason"] == "expired"
    assert coordinator.lease(grant["lease"])["state"] == "ended"


def test_all_streams_of_a_service_hear_the_same(coordinator):
    streams = [coordinator.control("x") for _ in range(3)]
    grant = coordinator.request("x")
    coordinator.admin("revoke", lease=grant["lease"])
    for stream in streams:
        heard = stream.expect("revoke")
        assert (heard["lease"], heard["token"], heard["reason"]) == (
            grant["lease"], grant["token"], "operator")


def test_an_unattended_job_is_offered_and_not_granted_into_the_void(
        coordinator):
    """Guarantee 7: nobody is there to take it, which is told to all."""
    events = Stream(coordinator, "/gpu/events")
    until(lambda: events.reply is not None, "the stream opens")
    holder = coordinator.request("holder", priority=0)
    job = coordinator.ask("x", job_id="j")
    lease = coordinator.status()["waiters"][0]["lease"]
    job.close()
    until(lambda: coordinator.status()["away"] == 1, "it is away")
    coordinator.release(holder)
    assert events.expect("offer")["lease"] == lease
    assert coordinator.lease(lease)["state"] == "away"
    grant = coordinator.request("x", job_id="j")
    assert (grant.status, grant["lease"]) == (200, lease)
