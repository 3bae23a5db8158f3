"""Redis beside several coordinators: whoever leads speaks there, and what a
deposed leader still says there changes nothing.  B6, B7, B10, guarantee 13."""

import pytest

from clusters import cluster, database  # noqa: F401  (fixtures)
from conftest import until
from redis_server import (make_redis, needs_redis, redis,  # noqa: F401
                          subscribe)
from test_redis import Service, await_state
from test_redis_keys import await_up, key_of

pytestmark = needs_redis


@pytest.fixture
def members(cluster, redis):  # noqa: F811
    """Three members that all know the same Redis; return who leads."""
    for name in "abc":
        member = cluster.add(name)
        member.config.write_text(member.config.read_text() +
                                 f"redis: {redis.url}\n")
        member.start()
    leader, _ = cluster.settle()
    await_up(leader)
    return leader


def test_b10_a_service_in_redis_outlives_the_leader(
        members, cluster, redis, subscribe):  # noqa: F811
    service = Service(redis, subscribe, "asr")
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    key = key_of(members)
    assert redis.key(key)["coordinator"] == members.name
    members.kill()
    leader = cluster.leader_but(members)
    until(lambda: redis.key(key)["coordinator"] == leader.name,
          "the new leader has the key")
    assert redis.key(key)["token"] == grant["token"]
    chat = leader.ask_again("gemma", priority=0)
    pause = service.expect("pause")
    service.say("paused", pause["session_id"])
    leader.release(chat.result())
    resume = service.expect("resume")
    assert resume["token"] > grant["token"]
    service.say("release", resume["session_id"])
    await_state(leader, grant["lease"], "ended")


def test_g13_a_deposed_leader_takes_no_key(members, cluster, redis):  # noqa: F811,E501
    """It was stopped past its time, with a lease that ended meanwhile: what it
    says of that when it goes on is older than what stands there."""
    key = key_of(members)
    old = members.request("gemma", ttl_ms=60000)
    members.freeze()
    leader = cluster.leader_but(members)
    await_up(leader)
    assert leader.release(old).status == 200
    new = leader.request("other", ttl_ms=60000, timeout_ms=15000)
    assert redis.key(key)["token"] == new["token"] > old["token"]
    members.thaw()
    seen = []

    def follows():
        seen.append(redis.key(key))
        return (members.cluster()["leader"] or {}).get("name") == leader.name
    until(follows, "the deposed one follows")
    seen.append(redis.key(key))
    assert [value["token"] for value in seen] == [new["token"]] * len(seen)
