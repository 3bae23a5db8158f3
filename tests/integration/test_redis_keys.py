"""The visible key of a GPU in Redis, and programs that know nothing else: B7,
guarantee 14."""

import json
import socket
import threading
import time

import pytest

from conftest import LIMIT_S, until
from redis_server import (make_redis, needs_redis, redis,  # noqa: F401
                          subscribe)

pytestmark = needs_redis


def await_up(coordinator):
    until(lambda: coordinator.status()["redis"]["state"] == "up", "redis is up")


@pytest.fixture
def coordinator(make, redis):
    coordinator = make(extra=f"redis: {redis.url}\n").start()
    await_up(coordinator)
    return coordinator


def key_of(coordinator, index=0):
    return f"gpu:lock:{coordinator.status()['devices'][index]['uuid']}"


def await_foreign(coordinator, wanted=True):
    until(lambda: coordinator.status()["devices"][0]["foreign"] is wanted,
          f"the key of others is seen: {wanted}")


def test_b7_the_key_stands_while_a_lease_is_held(coordinator, redis):
    """It is there before the answer, with the TTL, and gone with the lease."""
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=30000)
    value = redis.key(key)
    assert (value["lease"], value["token"], value["service_id"]) == (
        grant["lease"], grant["token"], "gemma")
    assert value["coordinator"]
    assert 25000 < int(redis.cli("PTTL", key)) <= 32000
    coordinator.release(grant)
    until(lambda: redis.key(key) is None, "it is gone")


def test_b7_the_key_follows_the_lease_through_a_pause(coordinator, redis):
    key = key_of(coordinator)
    control = coordinator.control("batch")
    batch = coordinator.request("batch")
    chat = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    assert redis.key(key)["lease"] == batch["lease"]
    coordinator.ack(batch, "paused", vram_mib=0)
    held = chat.result()
    assert redis.key(key)["token"] == held["token"]
    coordinator.release(held)
    resume = control.expect("resume")
    assert redis.key(key)["token"] == resume["token"]


def test_b7_a_renewal_extends_the_key(coordinator, redis):
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=2000)
    coordinator.post("/gpu/renew", lease=grant["lease"], token=grant["token"],
                     ttl_ms=60000)
    until(lambda: int(redis.cli("PTTL", key)) > 50000, "it is extended")


def test_b7_a_holder_that_does_not_renew_loses_the_key(coordinator, redis):
    """The TTL of B7: a crashed holder cannot block the GPU."""
    key = key_of(coordinator)
    coordinator.request("gemma", ttl_ms=1000)
    until(lambda: redis.key(key) is None, "it has expired")


def test_b7_a_coordinator_that_dies_leaves_a_key_that_expires(
        coordinator, redis):
    key = key_of(coordinator)
    coordinator.request("gemma", ttl_ms=1000)
    coordinator.kill()
    assert int(redis.cli("PTTL", key)) > 0
    until(lambda: redis.key(key) is None, "it has expired")


def test_b7_a_foreign_program_with_setnx_is_respected(coordinator, redis):
    """The grant waits until it is gone, and says so."""
    key = key_of(coordinator)
    assert redis.cli("SETNX", key, "comfyui") == "1"
    waiter = coordinator.ask("gemma", priority=0)
    await_foreign(coordinator)
    lease = coordinator.status()["waiters"][0]["lease"]
    why = coordinator.lease(lease)["why"]
    assert why["wait"] == "foreign" and "another program" in why["text"]
    sharer = coordinator.ask("asr", vram_mib=1000)
    assert not waiter.is_over and not sharer.is_over
    assert redis.cli("GET", key) == "comfyui"
    redis.cli("DEL", key)
    grant = waiter.result()
    assert grant.status == 200
    assert redis.key(key)["token"] == grant["token"]
    coordinator.release(grant)
    assert sharer.result().status == 200


def taken(coordinator):
    """How many grants found the key of another program."""
    lines = coordinator.get("/metrics").text.splitlines()
    return next(int(line.split()[1]) for line in lines
                if line.startswith("gpucoord_redis_keys_taken_total "))


def let_a_grant_find_the_key_taken(coordinator, redis):
    """Take the key from a holder that gives back at that moment.  A look at
    the keys may come between: say whether none did."""
    control = coordinator.control("first")
    before = taken(coordinator)
    holder = coordinator.request("holder", priority=1)
    first = coordinator.ask("first")
    second = coordinator.ask("second")
    redis.cli("SET", key_of(coordinator), "other")
    coordinator.release(holder)
    await_foreign(coordinator)
    assert not first.is_over and not second.is_over
    assert "grant" not in control.names()
    assert [waiter["service_id"] for waiter in
            coordinator.status()["waiters"]] == ["first", "second"]
    redis.cli("DEL", key_of(coordinator))
    grant = first.result()
    assert grant.status == 200 and not second.is_over
    assert control.expect("grant")["token"] == grant["token"]
    coordinator.release(grant)
    coordinator.release(second.result())
    control.close()
    return taken(coordinator) > before


def test_b7_a_grant_that_finds_the_key_taken_is_told_to_nobody(
        coordinator, redis):
    """It came between two looks: the request waits on, before all that came
    later, and its grant was in no answer, on no stream."""
    until(lambda: let_a_grant_find_the_key_taken(coordinator, redis),
          "a grant finds the key taken")


def test_b7_a_task_behind_a_foreign_key_is_queued_not_granted(
        coordinator, redis, subscribe):
    key = key_of(coordinator)
    redis.cli("SET", key, "other")
    coordinator.control("asr")
    task = coordinator.request("asr", job_id="j", wait=False)
    assert task.status == 202
    redis.cli("DEL", key)
    until(lambda: coordinator.lease(task["lease"])["state"] == "held",
          "it is granted")


@pytest.mark.parametrize("value", [
    '{"lease":1}', '{"lease":1,"token":0,"coordinator":"x"}', "7", "[]",
    '{"lease":"1","token":"2","coordinator":"x"}'])
def test_b7_what_is_not_ours_is_foreign(coordinator, redis, value):
    redis.cli("SET", key_of(coordinator), value)
    await_foreign(coordinator)
    refusal = coordinator.request("gemma", timeout_ms=0)
    assert refusal.status == 503 and "another program" in refusal["detail"]


def test_b7_a_key_of_another_kind_is_foreign(coordinator, redis):
    redis.cli("HSET", key_of(coordinator), "holder", "other")
    await_foreign(coordinator)
    assert coordinator.request("gemma", timeout_ms=0).status == 503


def test_b7_a_key_that_we_left_behind_is_none_of_others(coordinator, redis):
    redis.cli("SET", key_of(coordinator),
              json.dumps({"lease": 1, "token": 1, "coordinator": "before"}))
    grant = coordinator.request("gemma")
    assert grant.status == 200
    assert redis.key(key_of(coordinator))["token"] == grant["token"]
    coordinator.release(grant)


def test_b7_sharing_leases_set_no_key(coordinator, redis):
    grant = coordinator.request("asr", vram_mib=1000)
    assert grant.status == 200
    assert redis.key(key_of(coordinator)) is None


def test_b7_a_gang_takes_the_keys_of_all_its_gpus_or_none(make, redis):
    coordinator = make(extra=f"redis: {redis.url}\n",
                       gpus="[8192, 8192]").start()
    await_up(coordinator)
    keys = [key_of(coordinator, index) for index in range(2)]
    redis.cli("SET", keys[1], "other")
    gang = coordinator.ask("train", gpus=2)
    until(lambda: coordinator.status()["devices"][1]["foreign"], "it is seen")
    assert redis.key(keys[0]) is None and not gang.is_over
    redis.cli("DEL", keys[1])
    grant = gang.result()
    assert [redis.key(key)["token"] for key in keys] == [grant["token"]] * 2


class Foreign:
    """A program that holds the GPU by SETNX, over and over, and leaves it as
    long as it had it."""

    CALLS = 50  # So long.

    def __init__(self, server, key):
        self.key = key
        self.spans = []
        self.is_over = False
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(server.socket)
        self.replies = self.sock.makefile("rb")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _call(self, text):
        self.sock.sendall(text.encode() + b"\r\n")
        return self.replies.readline()

    def _rest(self):
        for _ in range(self.CALLS):
            self._call("PING")

    def _run(self):
        while not self.is_over:
            if self._call(f"SETNX {self.key} other") == b":1\r\n":
                begin = time.monotonic_ns()
                self._rest()
                self.spans.append((begin, time.monotonic_ns()))
                self._call(f"DEL {self.key}")
                self._rest()

    def end(self):
        self.is_over = True
        self.thread.join(LIMIT_S)
        self.sock.close()


def contend(coordinator, redis, times):
    """Hold the GPU @times by turns with a program of SETNX, and more until a
    grant found its key; return what both held, in order."""
    foreign = Foreign(redis, key_of(coordinator))
    spans = []
    while (min(len(spans), len(foreign.spans)) < times
           or not taken(coordinator)):
        grant = coordinator.request("gemma", timeout_ms=15000)
        assert grant.status == 200, grant
        begin = time.monotonic_ns()
        coordinator.renew(grant)
        spans.append((begin, time.monotonic_ns()))
        coordinator.release(grant)
    foreign.end()
    return sorted(spans + foreign.spans)


def overlaps(spans):
    return [(one, two) for one, two in zip(spans, spans[1:])
            if two[0] < one[1]]


def test_b7_one_holder_at_any_moment_ours_or_others(coordinator, redis):
    """Grants and a program that only knows SETNX contend for the GPU: what
    each of them held never overlaps."""
    assert overlaps(contend(coordinator, redis, 15)) == []


# ---- Guarantee 14: slower, never wrong ------------------------------------


def test_g14_absent_at_the_start_is_no_hindrance(make, make_redis):
    server = make_redis()
    coordinator = make(extra=f"redis: {server.url}\n").start()
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=60000)
    assert grant.status == 200
    server.start()
    until(lambda: server.key(key), "the key is set later")
    assert server.key(key)["token"] == grant["token"]


def test_g14_flushed_it_has_its_keys_again(coordinator, redis):
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=60000)
    redis.cli("FLUSHALL")
    until(lambda: redis.key(key), "it is there again")
    assert coordinator.renew(grant).status == 200
    assert coordinator.request("other", timeout_ms=0).status == 503


def test_g14_killed_and_restarted_nothing_is_granted_twice(
        coordinator, redis):
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=60000)
    waiter = coordinator.ask("other")
    redis.kill()
    until(lambda: coordinator.status()["redis"]["state"] == "away", "it is away")
    assert coordinator.renew(grant).status == 200
    assert not waiter.is_over
    coordinator.release(grant)
    other = waiter.result()
    assert other.status == 200
    redis.start()
    until(lambda: redis.key(key), "the key is set later")
    assert redis.key(key)["token"] == other["token"]


def test_g14_one_that_hangs_delays_a_grant_and_no_more(coordinator, redis):
    redis.stop_running()
    grant = coordinator.request("gemma")
    assert grant.status == 200
    redis.go_on()
    await_up(coordinator)
    until(lambda: redis.key(key_of(coordinator)), "the key is set later")


def test_g14_a_foreign_key_is_forgotten_with_its_redis(coordinator, redis):
    """Whether it still stands nobody can say, and a GPU that nobody may have
    would be the worse mistake."""
    redis.cli("SET", key_of(coordinator), "other")
    waiter = coordinator.ask("gemma")
    await_foreign(coordinator)
    redis.kill()
    assert waiter.result().status == 200


def test_g14_without_the_right_to_set_keys_it_goes_on(make, make_redis):
    server = make_redis()
    server.start(*"--user default on nopass ~none &* +@all".split())
    coordinator = make(extra=f"redis: {server.url}\n").start()
    await_up(coordinator)
    assert coordinator.request("gemma").status == 200
    assert "cannot be set" in coordinator.log.read_text()


def test_g14_failed_over_to_one_that_may_not_write_it_goes_on(
        coordinator, redis):
    """What was the master is a replica now: it reads, and refuses to write,
    until somebody makes it a master again."""
    key = key_of(coordinator)
    redis.cli("REPLICAOF", "127.0.0.1", "1")
    grant = coordinator.request("gemma", ttl_ms=60000)
    assert grant.status == 200
    until(lambda: "cannot be set" in coordinator.log.read_text(), "it says so")
    redis.cli("REPLICAOF", "NO", "ONE")
    until(lambda: redis.key(key), "the key is set later")
    assert redis.key(key)["token"] == grant["token"]


def test_g14_a_restart_of_the_coordinator_keeps_the_key(coordinator, redis):
    key = key_of(coordinator)
    grant = coordinator.request("gemma", ttl_ms=60000)
    coordinator.stop()
    assert redis.key(key)["token"] == grant["token"]
    redis.cli("DEL", key)
    coordinator.start()
    until(lambda: redis.key(key), "it is there again")
    assert redis.key(key)["token"] == grant["token"]
