"""Redis beside a queue in PostgreSQL: commits take their time, and tokens are
large.  B6, B7, B9."""

import pytest

from conftest import until
from redis_server import (make_redis, needs_redis, redis,  # noqa: F401
                          subscribe)
from test_postgres import database, pytestmark as needs_postgres, server  # noqa: F401,E501
from test_redis import Service, await_state
from test_redis_keys import (await_up, contend, key_of,
                             let_a_grant_find_the_key_taken, overlaps)

pytestmark = [needs_redis, needs_postgres]


@pytest.fixture
def coordinator(make, database, redis):  # noqa: F811
    coordinator = make(extra=f"redis: {redis.url}\n").start(
        "--store", database.url)
    await_up(coordinator)
    return coordinator


def test_b7_the_key_has_the_token_of_the_database(coordinator, redis):  # noqa: F811,E501
    grant = coordinator.request("gemma")
    assert grant["token"] > 1 << 40
    assert redis.key(key_of(coordinator))["token"] == grant["token"]
    coordinator.release(grant)
    until(lambda: redis.key(key_of(coordinator)) is None, "it is gone")


def test_b7_a_grant_that_finds_the_key_taken_goes_back(coordinator, redis):  # noqa: F811,E501
    until(lambda: let_a_grant_find_the_key_taken(coordinator, redis),
          "a grant finds the key taken")
    assert overlaps(contend(coordinator, redis, 10)) == []


def test_b6_a_service_that_speaks_only_redis(coordinator, redis, subscribe):  # noqa: F811,E501
    service = Service(redis, subscribe, "asr")
    service.request(job_id="j", ttl_ms=60000)
    grant = service.expect("grant")
    chat = coordinator.ask_again("gemma", priority=0)
    pause = service.expect("pause")
    service.say("paused", pause["session_id"])
    coordinator.release(chat.result())
    resume = service.expect("resume")
    assert resume["token"] > grant["token"]
    service.say("release", resume["session_id"])
    await_state(coordinator, grant["lease"], "ended")
