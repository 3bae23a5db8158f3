"""Every field of a request, and every refusal, does what docs/api.md says:
B1, B2, C5, C6, C10, C12."""

import os
import re
import subprocess
import sys

import pytest

from conftest import LIMIT_S, Stream, problem, until

BODY = '{"service_id":"x","priority":0,"timeout_ms":5000,"colour":{"a":1}}'


@pytest.mark.parametrize("kind", [
    "application/json", "text/plain", "application/x-www-form-urlencoded",
    "application/octet-stream; charset=x", ""])
def test_b1_any_content_type_and_unknown_fields_are_fine(coordinator, kind):
    """`curl -d` says that it sends a form."""
    grant = coordinator.call("POST", "/gpu/request", BODY,
                             {"Content-Type": kind})
    assert grant.status == 200, grant


def test_a_large_body_is_refused(coordinator):
    answer = coordinator.call("POST", "/gpu/request", "x" * 65537)
    assert (answer.status, problem(answer)) == (413, "too-large")


@pytest.mark.parametrize("limits, others", [
    ("{waiters: 2}", ["a", "b"]), ("{per_service: 2}", ["x", "x"])])
def test_a_full_queue_takes_nothing_new(make, limits, others):
    coordinator = make(extra=f"limits: {limits}\n").start()
    coordinator.request("holder", priority=0)
    for service in others:
        coordinator.ask(service)
    full = coordinator.request("x")
    assert (full.status, problem(full)) == (429, "queue-full")
    assert "limits:" in full["detail"]


def test_unset_fields_come_from_the_service(make):
    coordinator = make(extra="services:\n"
                       "  asr: {class: transcription, vram_mib: 4096}\n"
                       "defaults: {ttl: 20s}\n").start()
    grant = coordinator.request("asr")
    assert (grant["class"], grant["priority"]) == ("transcription", 2)
    assert grant["devices"][0]["vram_mib"] == 4096
    assert grant["ttl_ms"] == 20000
    other = coordinator.request("asr", vram_mib=100, priority=1, ttl_ms=5000)
    assert (other["class"], other["priority"]) == (None, 1)
    assert other["devices"][0]["vram_mib"] == 100
    assert (other["ttl_ms"], other["renew_in_ms"]) == (5000, 1000)


def test_class_and_priority_together_must_agree(coordinator):
    both = {"class": "voice", "priority": 1}
    assert coordinator.request("x", **both).status == 200
    wrong = coordinator.request("x", **{**both, "priority": 2})
    assert (wrong.status, wrong["field"]) == (422, "priority")


def test_no_vram_and_zero_are_the_whole_device(coordinator):
    for fields in ({}, {"vram_mib": 0}, {"vram_mib": None}):
        grant = coordinator.request("x", **fields)
        assert grant["devices"][0]["vram_mib"] == 24576 - 256
        late = coordinator.request("y", vram_mib=1, timeout_ms=0)
        assert problem(late) == "wait-timeout"
        coordinator.release(grant)


def test_c12_a_device_is_named_by_index_or_uuid(make):
    coordinator = make(gpus="[24576, 24576]").start()
    uuids = [device["uuid"] for device in coordinator.status()["devices"]]
    for device in (1, uuids[1], [uuids[1]], [1, 1]):
        grant = coordinator.request("x", device=device)
        assert [one["index"] for one in grant["devices"]] == [1]
        assert grant["devices"][0]["uuid"] == uuids[1]
        coordinator.release(grant)
    both = coordinator.request("x", gpus=2)
    assert {one["uuid"] for one in both["devices"]} == set(uuids)


@pytest.mark.parametrize("change", [
    {"class": "summarization"}, {"priority": 1, "class": None},
    {"vram_mib": 2000}, {"device": 1}, {"gpus": 2}])
def test_a_job_with_other_terms_is_a_conflict(make, change):
    coordinator = make(gpus="[24576, 24576]").start()
    terms = {"job_id": "j", "class": "transcription", "vram_mib": 1000}
    coordinator.request("x", **terms)
    other = coordinator.request("x", **{**terms, **change})
    assert (other.status, problem(other)) == (409, "job-conflict")
    assert coordinator.request("x", **terms).status == 200


def test_a_job_comes_back_to_its_place_after_its_timeout(coordinator):
    """It may be away for as long as the 503 says; a stranger is behind it."""
    holder = coordinator.request("holder", priority=0)
    late = coordinator.request("x", job_id="j", timeout_ms=50)
    assert 0 < late["retry_after_ms"] <= 60000
    other = coordinator.ask("y")
    again = coordinator.ask("x", job_id="j")
    coordinator.release(holder)
    grant = again.result()
    assert grant.status == 200
    assert not other.is_over
    coordinator.release(grant)
    assert other.result().status == 200


def test_renew_in_ms_is_short_only_for_who_hears_in_no_other_way(coordinator):
    deaf = coordinator.request("x", vram_mib=100)
    assert deaf["renew_in_ms"] == 1000
    fixed = coordinator.request("x", vram_mib=100, preemptible=False)
    assert fixed["renew_in_ms"] == 10000
    coordinator.control("y")
    hears = coordinator.request("y", vram_mib=100)
    assert hears["renew_in_ms"] == 10000
    assert coordinator.renew(hears)["renew_in_ms"] == 10000


def test_a_renewal_changes_the_ttl_and_revives_nothing(coordinator):
    grant = coordinator.request("x")
    name = {"lease": grant["lease"], "token": grant["token"]}
    longer = coordinator.post("/gpu/renew", **name, ttl_ms=60000)
    assert 30000 < longer["expires_in_ms"] <= 60000
    assert coordinator.renew(grant)["expires_in_ms"] > 30000
    coordinator.release(grant)
    assert coordinator.renew(grant).status == 409
    assert coordinator.lease(grant["lease"])["state"] == "ended"


def test_a_lease_that_never_was_is_not_found(coordinator):
    for call in ("release", "renew", "cancel"):
        answer = coordinator.post(f"/gpu/{call}", lease=99, token=99)
        assert (answer.status, problem(answer)) == (404, "not-found"), call
    assert coordinator.lease(99).status == 404


def test_a_lease_by_connection_outlives_its_ttl_and_hears_commands(
        coordinator):
    stream = Stream(coordinator, "/gpu/request", "POST",
                    '{"service_id":"shell","hold":"connection",'
                    '"ttl_ms":1000,"priority":2}')
    grant = stream.expect("grant")
    until(lambda: coordinator.lease(grant["lease"])["held_ms"] > 2500,
          "it holds for longer than its ttl")
    assert coordinator.lease(grant["lease"])["state"] == "held"
    chat = coordinator.ask("gemma", priority=0)
    pause = stream.expect("pause")
    assert pause["requester"] == "gemma"
    coordinator.ack(pause, "paused")
    coordinator.release(chat.result())
    assert stream.expect("resume")["token"] > grant["token"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
@pytest.mark.skipif(os.getuid() != 0, reason="needs a process of another")
def test_root_may_have_the_process_of_any_user_watched(coordinator):
    """Nobody else may: control/watch_test, which needs no second user."""
    other = subprocess.Popen(["sleep", "1000"], user=65534)
    try:
        assert coordinator.request("x", watch_pid=other.pid).status == 200
    finally:
        other.kill()
        other.wait(LIMIT_S)


def test_the_status_lists_a_hundred_of_a_class_and_counts_all(coordinator):
    for number in range(130):
        coordinator.request("x", wait=False, job_id=str(number), priority=1)
    for number in range(3):
        coordinator.request("x", wait=False, job_id=f"v{number}",
                            **{"class": "voice"})
    status = coordinator.status()
    assert len(status["waiters"]) == 103
    assert status["away"] == 133
    assert status["queue_sizes"]["priority-1"] == 130


def test_each_grant_says_its_promise(make):
    coordinator = make(verify="").start()
    until(lambda: coordinator.status()["devices"][0]["measured"], "measured")
    grant = coordinator.request("x", vram_mib=100)
    assert grant["guarantee"] == "verified"
    assert coordinator.status()["holders"][0]["guarantee"] == "verified"
    coordinator.admin("bypass", on=True)
    assert coordinator.request("x", vram_mib=100)["guarantee"] == "advisory"


def test_a_bypass_ends_by_itself(coordinator):
    coordinator.request("holder", priority=0)
    answer = coordinator.admin("bypass", on=True, for_ms=1000)
    assert answer.status == 200, answer
    until(lambda: not coordinator.status()["bypass"], "it has ended")
    late = coordinator.request("x", timeout_ms=0)
    assert problem(late) == "wait-timeout"


def test_each_problem_has_all_the_fields_of_one(coordinator):
    """RFC 9457; a bare 409 leaves a person with nothing to go by."""
    grant = coordinator.request("x", job_id="j")
    name = {"lease": grant["lease"], "token": grant["token"]}
    problems = [
        coordinator.request("x", job_id="j", vram_mib=1),
        coordinator.post("/gpu/ack", **name, action="paused"),
        coordinator.post("/gpu/cancel", lease=grant["lease"]),
        coordinator.post("/gpu/renew", lease=grant["lease"], token=1),
        coordinator.post("/gpu/release", service_id="nobody"),
        coordinator.post("/gpu/renew", lease=99, token=99),
        coordinator.get("/gpu/leases/99"),
        coordinator.call("POST", "/gpu/request", "x" * 65537),
        coordinator.call("GET", "/gpu/" + "x" * 5000),
    ]
    coordinator.release(grant)
    problems.append(coordinator.renew(grant))
    coordinator.admin("drain")
    problems.append(coordinator.request("x"))
    for answer in problems:
        problem(answer)
        assert answer["status"] == answer.status
        assert answer["title"] and answer["detail"], answer


def test_max_hold_ends_a_lease_that_renews(make):
    """And whoever renews is not told of more time than there is."""
    coordinator = make(extra="defaults: {max_hold: 2s}\n").start()
    control = coordinator.control("x")
    grant = coordinator.request("x")
    assert 0 < coordinator.renew(grant)["expires_in_ms"] <= 2000
    until(lambda: coordinator.renew(grant).status != 200, "it is over")
    refused = coordinator.renew(grant)
    assert (refused.status, problem(refused)) == (409, "revoked")
    assert control.expect("revoke")["reason"] == "max_hold"


def test_declared_cards_are_granted_on_the_word_of_their_holders(make):
    coordinator = make(verify="")
    coordinator.config.write_text(re.sub(
        "gpus: .*", "gpus: {declared: [24576, 8192]}",
        coordinator.config.read_text()))
    coordinator.start()
    devices = coordinator.status()["devices"]
    assert [device["capacity_mib"] for device in devices] == [24576, 8192]
    assert [(device["source"], device["measured"], device["used_mib"])
            for device in devices] == [("declared", False, None)] * 2
    grant = coordinator.request("x", device=1)
    assert grant["guarantee"] == "advisory"
    assert grant["devices"][0]["vram_mib"] == 8192 - 256
    coordinator.release(grant)
    assert coordinator.request("y", device=1, timeout_ms=0).status == 200


def test_the_end_of_the_peer_ends_its_lease(coordinator):
    """C3: `watch_pid` 0 is whoever called, on whatever connection."""
    script = f"""import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect({coordinator.socket!r})
body = json.dumps({{"service_id": "x", "ttl_ms": 600000, "watch_pid": 0}})
sock.sendall(("POST /gpu/request HTTP/1.1\\r\\nHost: gpu\\r\\n"
              f"Content-Length: {{len(body)}}\\r\\n\\r\\n{{body}}").encode())
assert b" 200 " in sock.recv(4096)
sock.close()
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], text=True,
                          stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as peer:
        assert peer.stdout.readline() == "held\n"
        [lease] = coordinator.status()["holders"]
        assert lease["state"] == "held"
        peer.kill()
    until(lambda: coordinator.lease(lease["lease"])["state"] == "ended",
          "the lease ends with its peer")


def test_each_503_says_when_to_come_back(coordinator):
    coordinator.request("holder", priority=0)
    late = coordinator.request("x", timeout_ms=0)
    coordinator.admin("drain")
    answers = [late, coordinator.request("x"), coordinator.get("/readyz")]
    assert [problem(answer) for answer in answers] == [
        "wait-timeout", "draining", "draining"]
    for answer in answers:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
