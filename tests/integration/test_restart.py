"""Restart without a false grant: C7, C6, and what must not be lost."""

import signal
import time

import pytest

from conftest import LIMIT_S, problem, until


def restart(coordinator, is_killed):
    if is_killed:
        coordinator.kill()
    else:
        coordinator.stop()
        assert coordinator.process.returncode == 0
    coordinator.start()


@pytest.mark.parametrize("is_killed", [True, False])
def test_c7_holders_keep_their_leases(coordinator, is_killed):
    grant = coordinator.request("x", job_id="j", metadata={"a": [1]})
    restart(coordinator, is_killed)
    view = coordinator.lease(grant["lease"])
    assert (view["state"], view["token"]) == ("held", grant["token"])
    assert (view["job_id"], view["metadata"]) == ("j", {"a": [1]})
    assert view["expires_in_ms"] > 25000  # The full TTL again.
    late = coordinator.request("y", priority=0, timeout_ms=1500)
    assert problem(late) == "wait-timeout"
    assert coordinator.renew(grant).status == 200
    assert coordinator.release(grant).status == 200


def test_c6_tokens_rise_over_restarts(coordinator):
    tokens = []
    for _ in range(3):
        grant = coordinator.request("x")
        tokens += [grant["lease"], grant["token"]]
        coordinator.release(grant)
        restart(coordinator, True)
    assert tokens == sorted(set(tokens))


def test_c7_jobs_re_attach_and_keep_their_place(coordinator):
    holder = coordinator.request("holder", priority=0)
    first = coordinator.ask("a", job_id="first")
    second = coordinator.ask("b", job_id="second")
    restart(coordinator, True)
    # They come back in the wrong order, and are granted in the right one.
    second = coordinator.ask_again("b", job_id="second")
    until(lambda: coordinator.status()["waiting"] == 1, "second is back")
    first = coordinator.ask_again("a", job_id="first")
    until(lambda: coordinator.status()["waiting"] == 2, "first is back")
    coordinator.release(holder)
    grant = first.result()
    assert not second.is_over
    coordinator.release(grant)
    assert second.result().status == 200


def test_durable_tasks_are_all_there(coordinator):
    holder = coordinator.request("holder", priority=0)
    tasks = [coordinator.request("x", wait=False, job_id=str(i))["lease"]
             for i in range(20)]
    restart(coordinator, True)
    assert coordinator.status()["away"] == 20
    control = coordinator.control("x")
    coordinator.release(holder)
    order = []
    for i in range(20):
        grant = until(lambda: control.events[i:] and control.events[i],
                      "the next task")["data"]
        order.append(grant["lease"])
        coordinator.release(grant)
    assert order == tasks


def test_sigterm_tells_waiters_and_waits_for_no_holder(make):
    coordinator = make(extra="shutdown: 10min\n").start()
    coordinator.request("holder", priority=0, ttl_ms=600000)
    waiter = coordinator.ask("x")
    control = coordinator.control("holder")
    coordinator.process.send_signal(signal.SIGTERM)
    answer = waiter.result()
    assert (answer.status, problem(answer)) == (503, "restarting")
    assert "Retry-After" in answer.headers
    assert coordinator.process.wait(LIMIT_S) == 0
    until(lambda: control.is_over, "the stream has ended")


def test_a_paused_lease_is_resumed_after_a_restart(coordinator):
    control = coordinator.control("transcription")
    work = coordinator.request("transcription", priority=2)
    chat = coordinator.ask("gemma", priority=0)
    control.expect("pause")
    coordinator.ack(work, "paused")
    grant = chat.result()
    restart(coordinator, True)
    control = coordinator.control("transcription")
    assert coordinator.lease(work["lease"])["state"] == "paused"
    coordinator.release(grant)
    assert control.expect("resume")["lease"] == work["lease"]


def test_a_second_coordinator_is_refused(make):
    """On the same file, and on the same GPU, with a clear message."""
    one = make("one").start()
    two = make("two")
    two.configure(store=one.dir / "queue.db")
    process = two.spawn()
    assert process.wait(LIMIT_S) == 1
    assert "queue.db" in two.log.read_text()
    three = make("three")
    three.gpu = one.gpu
    three.configure()
    process = three.spawn()
    assert process.wait(LIMIT_S) == 1
    assert str(one.process.pid) in three.log.read_text()
    assert one.request("x").status == 200


def test_a_damaged_store_is_never_overwritten(make):
    coordinator = make()
    store = coordinator.dir / "queue.db"
    store.write_bytes(b"not a database at all" * 1000)
    before = store.read_bytes()
    assert coordinator.spawn().wait(LIMIT_S) == 1
    assert store.read_bytes() == before
    assert "--move-aside-store" in coordinator.log.read_text()
    coordinator.start("--move-aside-store")
    assert coordinator.request("x").status == 200


def test_sighup_takes_a_new_class_and_refuses_a_bad_file(make):
    coordinator = make().start()
    unknown = coordinator.request("x", **{"class": "new"})
    assert unknown.status == 422
    coordinator.configure("classes: {new: {priority: 1}}\n")
    coordinator.process.send_signal(signal.SIGHUP)
    grant = until(
        lambda: next((one for one in [coordinator.request(
            "x", **{"class": "new"})] if one.status == 200), None),
        "the class is there")
    coordinator.config.write_text("classes: {new: {prioritty: 1}}\n")
    coordinator.process.send_signal(signal.SIGHUP)
    until(lambda: "stays as it was" in coordinator.log.read_text(), "refused")
    coordinator.release(grant)
    assert coordinator.request("x", **{"class": "new"}).status == 200


def test_a_bad_configuration_ends_with_status_2(make):
    coordinator = make()
    coordinator.config.write_text("classes: {new: {prioritty: 1}}\nfoo: 1\n")
    assert coordinator.spawn().wait(LIMIT_S) == 2
    log = coordinator.log.read_text()
    assert "gpucoord.yaml:1:" in log and "gpucoord.yaml:2:" in log


def test_a_suspended_coordinator_lets_nobody_oversleep(coordinator):
    """Guarantee 4: a laptop that was closed wakes up with its leases; the
    lateness counts from the first deadline that was missed."""
    short = coordinator.request("short", vram_mib=100, ttl_ms=1000)
    long = coordinator.request("long", vram_mib=100, ttl_ms=4000)
    woken_at = time.monotonic() + 5
    coordinator.process.send_signal(signal.SIGSTOP)
    until(lambda: time.monotonic() > woken_at, "both are past their TTL")
    coordinator.process.send_signal(signal.SIGCONT)
    until(lambda: coordinator.lease(short["lease"])["state"] == "ended",
          "what had expired before has")
    assert coordinator.lease(long["lease"])["state"] == "held"
    assert coordinator.renew(long).status == 200
    assert "ms late: all deadlines move by it" in coordinator.log.read_text()


def test_a_waiter_without_a_job_is_not_stored(coordinator):
    """Nobody could come back for it."""
    coordinator.request("holder", priority=0)
    coordinator.ask("x")
    coordinator.ask("x", job_id="j")
    restart(coordinator, True)
    status = coordinator.status()
    assert [lease["job_id"] for lease in status["waiters"]] == ["j"]
    assert (status["waiting"], status["away"]) == (0, 1)


def test_renewals_write_nothing(coordinator):
    """A hundred holders that renew must not wear out the disk."""
    grant = coordinator.request("x")
    files = sorted(coordinator.dir.glob("queue.db*"))

    def written():
        return [(file.name, file.stat().st_size, file.stat().st_mtime_ns)
                for file in files]

    before = written()
    for _ in range(100):
        assert coordinator.renew(grant).status == 200
    assert written() == before
    coordinator.release(grant)
    assert written() != before
