"""What a service hears on its control stream, and what a stream is worth:
B5, C4, guarantee 7."""

import select
import socket

from conftest import LIMIT_S, Stream, until


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


class SlowReader:
    """A stream of Server-Sent Events whose reader stops after its first
    event."""

    def __init__(self, coordinator, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(coordinator.socket)
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: gpu\r\n\r\n".encode())
        self.hangup = select.poll()
        self.hangup.register(self.sock, 0)  # Only whether it was closed.

    def first_id(self):
        """Read until there is a whole event; return its id."""
        text = ""
        while not text.endswith("\n\n") or "\nid: " not in text:
            text += self.sock.recv(1).decode()
        return text.split("\nid: ")[1].split("\n")[0]

    def is_dropped(self):
        return self.hangup.poll(0) != []


def test_a_reader_that_does_not_read_is_dropped_and_told_when_it_returns(
        coordinator):
    """What it missed is more than is kept, so it begins anew; who reads is not
    disturbed by it."""
    good = Stream(coordinator, "/gpu/events")
    until(lambda: good.reply is not None, "the stream opens")
    slow = SlowReader(coordinator, "/gpu/events")

    def turn():
        coordinator.release(coordinator.request("x"))
        return slow.is_dropped()

    turn()
    last = slow.first_id()
    until(turn, "it is dropped")
    newest = coordinator.status()["stats"]["grants_total"]
    again = Stream(coordinator, "/gpu/events", headers={"Last-Event-ID": last})
    again.expect("reset")
    assert again.names()[0] == "reset"
    coordinator.request("x")
    assert again.expect("grant", after=1)["service_id"] == "x"
    until(lambda: good.names().count("grant") == newest + 1,
          "who reads has it all")
    numbers = [int(event["id"].rpartition("-")[2])
               for event in list(good.events)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    slow.sock.close()


def test_a_service_that_does_not_read_hears_of_its_lease_when_it_returns(
        coordinator):
    slow = SlowReader(coordinator, "/gpu/control/x")
    until(lambda: (coordinator.release(coordinator.request("x")),
                   slow.is_dropped())[1], "it is dropped")
    grant = coordinator.request("x")
    again = coordinator.control("x")
    assert again.expect("grant")["token"] == grant["token"]
    slow.sock.close()


def test_a_stream_begins_with_the_grant_or_resume_of_each_live_lease(
        coordinator):
    one = coordinator.request("x", vram_mib=1000)
    two = coordinator.request("x", vram_mib=1000)
    first = coordinator.control("x")
    until(lambda: len(first.events) == 2, "both are told")
    assert first.names() == ["grant", "grant"]
    assert {event["data"]["token"] for event in first.events} == {
        one["token"], two["token"]}
    assert first.events[0]["data"]["devices"] == one["devices"]
    assert coordinator.admin("pause", lease=one["lease"]).status == 200
    coordinator.ack(one, "paused")
    coordinator.admin("resume", lease=one["lease"])
    resume = first.expect("resume")
    second = coordinator.control("x")
    assert second.expect("resume")["token"] == resume["token"]
    assert sorted(second.names()) == ["grant", "resume"]


def test_a_job_whose_place_is_kept_is_offered_on_its_services_stream(
        coordinator):
    """Its 503 has come; the stream says when it is worth asking again."""
    control = coordinator.control("x")
    holder = coordinator.request("holder", priority=0)
    late = coordinator.request("x", job_id="j", timeout_ms=50)
    assert late.status == 503
    lease = coordinator.status()["waiters"][0]["lease"]
    coordinator.release(holder)
    assert control.expect("offer") == {"lease": lease, "job_id": "j"}
    assert coordinator.lease(lease)["state"] == "away"
    assert coordinator.request("x", job_id="j")["lease"] == lease
