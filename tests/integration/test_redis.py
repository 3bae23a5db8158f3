"""A service that speaks only Redis takes part in everything: B6.

Its side of all of this is redis-cli, and nothing else.
"""

import json

import pytest

from conftest import until
from redis_server import (make_redis, needs_redis, redis,  # noqa: F401
                          subscribe)

pytestmark = needs_redis


class Service:
    """A service written with redis-cli alone."""

    def __init__(self, server, subscribe, name,
                 control="channel:{}:control", ack="channel:{}:ack"):
        self.server = server
        self.name = name
        self.ack = ack.format(name)
        self.heard = subscribe(server, control.format(name))

    def publish(self, text):
        self.server.cli("PUBLISH", self.ack, text)

    def say(self, ack_type, session=None, error=None, **metadata):
        self.publish(json.dumps({
            "ack_type": ack_type, "service": self.name,
            "session_id": session, "timestamp": "2026-01-01T00:00:00Z",
            "error": error, "metadata": metadata}))

    def request(self, **fields):
        self.say("request", **fields)

    def expect(self, command, **fields):
        return self.heard.expect(command, **fields)


@pytest.fixture
def coordinator(make, redis):
    coordinator = make(extra=f"redis: {redis.url}\n").start()
    until(lambda: coordinator.status()["redis"]["state"] == "up", "redis is up")
    return coordinator


@pytest.fixture
def service(coordinator, redis, subscribe):
    return Service(redis, subscribe, "transcription")


def state(coordinator, lease):
    return coordinator.lease(lease)["state"]


def await_state(coordinator, lease, wanted):
    until(lambda: state(coordinator, lease) == wanted, f"it is {wanted}")


def test_b6_redis_cli_alone_takes_part_in_everything(coordinator, service):
    """Request, grant, pause, acknowledgement, resume, renewal, release."""
    service.request(job_id="a.wav", ttl_ms=30000, priority=2,
                    metadata={"file": "a.wav"})
    grant = service.expect("grant")
    assert grant["session_id"] == str(grant["token"])
    assert grant["grant"]["devices"][0]["index"] == 0
    assert grant["timeout_ms"] == 30000
    lease = grant["lease"]
    chat = coordinator.ask_again("gemma-service", priority=0)
    pause = service.expect("pause", session_id=grant["session_id"])
    assert (pause["requester"], pause["lease"]) == ("gemma-service", lease)
    assert 0 < pause["timeout_ms"] <= 10000 and pause["release_mib"] > 0
    assert not chat.is_over
    service.say("paused", pause["session_id"], vram_mib=0)
    held = chat.result()
    assert held.status == 200
    assert state(coordinator, lease) == "paused"
    coordinator.release(held)
    resume = service.expect("resume")
    assert resume["lease"] == lease and resume["token"] > grant["token"]
    service.say("resumed", resume["session_id"])
    service.say("renew", resume["session_id"], ttl_ms=300000)
    until(lambda: coordinator.lease(lease)["expires_in_ms"] > 200000,
          "it is renewed")
    service.say("release", resume["session_id"])
    await_state(coordinator, lease, "ended")
    assert coordinator.lease(lease)["reason"] == "released"
    assert service.heard.of("refuse") == []


def test_a_command_is_said_again_until_it_is_answered(coordinator, service):
    """Pub/Sub forgets: what came while nobody read comes again."""
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    until(lambda: len(service.heard.of("grant")) > 2, "it is said again")
    chat = coordinator.ask_again("gemma", priority=0)
    service.expect("pause")
    said = len(service.heard.of("grant"))
    until(lambda: len(service.heard.of("pause")) > 1, "so is the pause")
    assert len(service.heard.of("grant")) == said
    service.say("paused", grant["session_id"])
    coordinator.release(chat.result())
    resume = service.expect("resume")
    said = len(service.heard.of("pause"))
    service.say("renew", resume["session_id"])
    until(lambda: coordinator.lease(grant["lease"])["expires_in_ms"] > 59000,
          "the renewal has come")
    heard = len(service.heard.of("resume"))
    # A second service is told twice meanwhile: two seconds have passed.
    other = coordinator.request("other", timeout_ms=0)
    assert other.status == 503
    coordinator.admin("revoke", lease=grant["lease"])
    service.expect("revoke", reason="operator")
    until(lambda: len(service.heard.of("revoke")) > 1, "so is the revocation")
    assert len(service.heard.of("resume")) == heard
    assert len(service.heard.of("pause")) == said


def test_what_cannot_be_accepted_is_refused_with_its_job(coordinator, service):
    service.request(job_id="big", vram_mib=99999999)
    refusal = service.expect("refuse", job_id="big")
    assert (refusal["error"], refusal["field"]) == ("invalid", "vram_mib")
    service.request(job_id="odd", **{"class": "nobody"})
    assert service.expect("refuse", job_id="odd")["field"] == "class"
    service.request(vram_mib=1)
    assert service.expect("refuse", field="job_id")["error"] == "invalid"
    service.request(job_id="w", wait=True)
    assert service.expect("refuse", job_id="w")["field"] == "wait"
    service.request(job_id="l", ladder=["kill"])
    assert service.expect("refuse", job_id="l")["field"] == "ladder"
    service.request(job_id="p", watch_pid=1)
    assert service.expect("refuse", job_id="p")["field"] == "watch_pid"
    coordinator.admin("drain")
    service.request(job_id="late")
    assert service.expect("refuse", job_id="late")["error"] == "draining"


def test_a_task_that_is_not_granted_in_time_is_refused(coordinator, service):
    coordinator.request("holder", priority=0)
    service.request(job_id="j", timeout_ms=1)
    refusal = service.expect("refuse", job_id="j")
    assert (refusal["error"], refusal["reason"]) == ("wait-timeout", "timeout")
    service.request(job_id="k")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    lease = coordinator.status()["waiters"][0]["lease"]
    coordinator.post("/gpu/cancel", lease=lease)
    assert service.expect("refuse", job_id="k")["error"] == "ended"


def test_messages_that_are_none_are_refused_and_change_nothing(
        coordinator, service):
    for text in ("", "paused", "[]", "{}", '{"ack_type":"paused"}',
                 '{"ack_type":"dance"}', '{"ack_type":"paused","service":"x"}',
                 '{"ack_type":"release","session_id":"-1"}',
                 '{"ack_type":"request","metadata":7}',
                 '{"ack_type":"claim","metadata":{}}', "x" * 70000):
        before = len(service.heard.of("refuse"))
        service.publish(text)
        until(lambda: len(service.heard.of("refuse")) > before,
              f"{text[:40]!r} is refused")
    assert coordinator.status()["waiting"] == 0


def test_a_wrong_token_can_do_nothing(coordinator, service, redis, subscribe):
    """Guarantee 3, over Redis; and another service's token is none."""
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    service.say("release", "999999999")
    assert service.expect("refuse", error="not-found")["session_id"] == (
        "999999999")
    other = Service(redis, subscribe, "other")
    other.say("release", grant["session_id"])
    other.expect("refuse", error="not-found")
    assert state(coordinator, grant["lease"]) == "held"
    service.say("release", grant["session_id"])
    await_state(coordinator, grant["lease"], "ended")
    refusals = len(service.heard.of("refuse"))
    service.say("release", grant["session_id"])
    service.say("renew", grant["session_id"])
    assert service.expect("refuse", session_id=grant["session_id"])
    assert len(service.heard.of("refuse")) == refusals + 1


def test_a_request_sent_again_is_the_same_lease_and_told_again(
        coordinator, service):
    """Guarantee 5, over Redis."""
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    service.say("renew", grant["session_id"])
    said = len(service.heard.messages)
    service.request(job_id="j", ttl_ms=60000)
    again = service.heard.expect("grant", after=said)
    assert (again["lease"], again["token"]) == (grant["lease"], grant["token"])


def test_an_unattended_task_is_offered_and_claimed(
        coordinator, service, redis, subscribe):
    """Its service listens to a pattern, which Redis does not count: it is not
    taken as attending, hears the offer, and its claim attends for a while."""
    heard = subscribe(redis, "channel:*:control", "PSUBSCRIBE")
    holder = coordinator.request("holder", priority=0)
    service.request(job_id="j")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    lease = coordinator.status()["waiters"][0]["lease"]
    service.heard.close()
    until(lambda: coordinator.status()["away"] == 1, "it is away")
    coordinator.release(holder)
    offer = heard.expect("offer", lease=lease, job_id="j")
    assert (offer["session_id"], offer["token"]) == (None, None)
    assert state(coordinator, lease) == "away"
    service.say("claim", lease=lease)
    assert heard.expect("grant", lease=lease)["job_id"] == "j"


def test_a_subscription_lost_does_not_end_a_lease(coordinator, service):
    """It may be Redis that went: the lease lives on its TTL."""
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    service.heard.close()
    until(lambda: coordinator.lease(grant["lease"])["hears"] is False,
          "it cannot hear")
    assert coordinator.lease(grant["lease"])["expires_in_ms"] > 30000
    assert state(coordinator, grant["lease"]) == "held"


def test_error_is_the_end_of_a_pause(coordinator, service):
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    chat = coordinator.ask_again("gemma", priority=0)
    service.expect("pause")
    service.say("error", grant["session_id"], error="the model hangs")
    revoke = service.expect("revoke")
    assert revoke["reason"] == "pause_failed"
    assert chat.result().status == 200
    assert "the model hangs" in coordinator.log.read_text()


def test_the_names_of_the_channels_are_settings(make, redis, subscribe):
    coordinator = make(
        extra=f"redis: {{url: '{redis.url}', "
              "control_channel: 'gpu/{service}/[in]', "
              "ack_channel: 'gpu/{service}/out'}\n").start()
    service = Service(redis, subscribe, "asr", "gpu/{}/[in]", "gpu/{}/out")
    until(lambda: coordinator.status()["redis"]["state"] == "up", "redis is up")
    until(lambda: redis.cli("PUBSUB", "NUMPAT") == "1", "it listens")
    service.request(job_id="j")
    assert service.expect("grant")["lease"] > 0


def test_a_service_may_have_channels_of_its_own(make, redis, subscribe):
    """One that listens elsewhere, among others that do not."""
    coordinator = make(
        extra=f"redis: {redis.url}\nservices:\n"
              "  asr: {channels: {control: 'asr[in]', ack: 'asr*out'}}\n"
              "  tts: {channels: {ack: 'channel:tts:ack'}}\n").start()
    until(lambda: redis.cli("PUBSUB", "NUMPAT") == "2", "it listens")
    for service in (Service(redis, subscribe, "asr", "{}[in]", "{}*out"),
                    Service(redis, subscribe, "tts")):
        service.request(job_id="j", vram_mib=1000)
        grant = service.expect("grant")
        service.say("release", grant["session_id"])
        await_state(coordinator, grant["lease"], "ended")
        assert len(service.heard.of("refuse")) == 0


def test_a_service_may_speak_both_and_is_heard_once(coordinator, service):
    """The grant over HTTP is on the control channel as well; its renewal over
    HTTP is an answer."""
    grant = coordinator.request("transcription", ttl_ms=60000)
    assert service.expect("grant")["token"] == grant["token"]
    until(lambda: len(service.heard.of("grant")) > 1, "it is said again")
    assert coordinator.renew(grant)["renew_in_ms"] == 20000
    said = len(service.heard.of("grant"))
    coordinator.admin("pause", lease=grant["lease"])
    service.expect("pause")
    until(lambda: len(service.heard.of("pause")) > 1, "time has passed")
    assert len(service.heard.of("grant")) == said
