"""Several coordinators, one leader (B9, B10; guarantee 13)."""

import json
import re
import subprocess

from clusters import cluster, database  # noqa: F401  (fixtures)
from conftest import BINARY, LIMIT_S, Pending, problem, until


def test_one_leads_and_the_others_say_who(cluster):
    leader, others = cluster.start("a", "b", "c")
    for other in others:
        answer = other.get("/readyz")
        assert (answer.status, problem(answer)) == (503, "no-leader")
        assert f"'{leader.name}' leads" in answer["detail"]
        assert other.get("/healthz").status == 200
        assert "gpucoord_leads 0" in other.get("/metrics").text
    assert "gpucoord_leads 1" in leader.get("/metrics").text
    assert others[0].cluster()["role"] == "follower"
    until(lambda: {member["name"] for member in others[0].cluster()["members"]}
          == {"a", "b", "c"}, "all have been seen")


def test_members_that_start_together_make_one_schema(cluster):
    """Who has waited for the lock must not go by what it saw before."""
    members = [cluster.add(name) for name in "abc"]
    for member in members:
        member.process = member.spawn()
    cluster.leader()
    until(lambda: len(members[0].cluster()["members"]) == 3, "all are there")
    for member in members:
        assert "already exists" not in member.log.read_text()


def test_a_follower_relays_every_call(cluster):
    leader, (one, two) = cluster.start("a", "b", "c")
    grant = one.request("x", job_id="j")
    assert grant.status == 200
    assert two.status()["holders"][0]["lease"] == grant["lease"]
    waiter = two.ask("y", priority=0, timeout_ms=20000)
    assert leader.status()["waiting"] == 1
    assert two.renew(grant).status == 200
    assert one.release(grant).status == 200
    late = waiter.result()
    assert late.status == 200
    assert late["token"] > grant["token"]
    assert one.call("GET", "/gpu/nothing").status == 404


def test_the_peer_of_a_follower_is_the_one_that_counts(cluster):
    """watch_pid and the operator's calls go by who connected."""
    leader, (one, _) = cluster.start("a", "b", "c")
    child = subprocess.Popen(["sleep", "60"])
    try:
        grant = one.request("x", watch_pid=child.pid)
        assert grant.status == 200, grant
    finally:
        child.kill()
        child.wait()
    until(lambda: one.lease(grant["lease"])["state"] == "ended", "it is gone")
    assert one.admin("drain").status == 200
    assert problem(leader.request("y")) == "draining"
    assert one.admin("undrain").status == 200


def test_streams_and_hang_ups_pass_through(cluster):
    leader, (one, two) = cluster.start("a", "b", "c")
    holder = leader.request("holder", priority=0)
    waiter = one.ask("x", priority=2)
    waiter.close()
    until(lambda: leader.status()["waiting"] == 0, "the leader sees it")
    control = two.control("tasks")
    one.request("tasks", wait=False, job_id="t")
    leader.release(holder)
    grant = control.expect("grant")
    control.close()  # Its leases have 2 s from now on.
    until(lambda: one.lease(grant["lease"])["state"] == "ended", "it is over")


def test_a_tcp_client_of_a_follower_stays_one(cluster):
    """What the leader sees is a Unix socket; who calls is not on one.  And who
    claims to relay is not relayed."""
    cluster.start("a")
    member = cluster.add("t", listen=True).start()
    cluster.settle()
    for path, headers, status, name in (
            ("/gpu/admin/drain", {}, 403, "forbidden"),
            ("/gpu/admin/drain", {"Gpucoord-Peer": "unix 1 0 0"}, 503,
             "no-leader"),
            ("/gpu/request", {"Host": "evil.example"}, 403, "foreign-host")):
        answer = member.tcp("POST", path, {"service_id": "x"}, headers)
        assert (answer.status, problem(answer)) == (status, name)
    assert member.tcp("POST", "/gpu/request",
                      {"service_id": "x"}).status == 200


def test_a_waiter_is_told_that_its_leader_has_died(cluster):
    leader, (one, _) = cluster.start("a", "b", "c")
    holder = one.request("holder", job_id="h")
    waiter = one.ask("x", job_id="w", timeout_ms=20000)
    control = one.control("s")
    leader.kill()
    answer = waiter.result()
    assert (answer.status, problem(answer)) == (503, "no-leader")
    assert "Retry-After" in answer.headers
    until(lambda: control.is_over, "the stream has ended")
    late = cluster.leader()
    again = late.ask_again("x", job_id="w", timeout_ms=20000)
    until(lambda: late.status()["waiting"] == 1, "it is back")
    late.release(holder)
    assert again.result().status == 200


def test_a_leader_that_was_stopped_writes_nothing(cluster):
    """Guarantee 13: whatever its clock says when it wakes up."""
    leader, others = cluster.start("a", "b", "c")
    grant = leader.request("holder", job_id="h", ttl_ms=600000)
    parked = leader.ask("late", job_id="l", priority=0, timeout_ms=60000)
    leader.freeze()
    late = cluster.leader_but(leader)
    assert late.release(grant).status == 200
    other = late.request("other", ttl_ms=600000, timeout_ms=20000)
    assert other.status == 200
    # These wait in its socket, and are read before it knows the time.
    stale = [Pending(leader, "/gpu/release", {
        "lease": grant["lease"], "token": grant["token"]}),
        Pending(leader, "/gpu/renew", {
            "lease": grant["lease"], "token": grant["token"]}),
        Pending(leader, "/gpu/request", {"service_id": "stale",
                                         "timeout_ms": 0})]
    leader.thaw()
    for call in (parked, *stale):
        call.thread.join(LIMIT_S)
        assert call.is_over
        assert call.answer is None or call.answer.status in (409, 503), (
            call.answer)
    cluster.settle()
    assert [one["lease"] for one in late.status()["holders"]] == [
        other["lease"]]
    assert leader.cluster()["role"] == "follower"
    assert leader.release(other).status == 200  # It relays by now.


def test_a_leader_that_is_told_to_end_hands_over(cluster):
    leader, (one, _) = cluster.start("a", "b", "c")
    grant = leader.request("x", job_id="x")
    leader.stop()
    assert leader.process.returncode == 0
    rows = cluster.server.ask("SELECT name FROM gpu_member ORDER BY 1")
    assert [leader.name] not in rows
    late = cluster.leader()
    assert late.renew(grant).status == 200


def test_backends_that_are_terminated_cost_nothing(cluster):
    leader, (one, two) = cluster.start("a", "b", "c")
    tokens = []
    for number in range(6):
        cluster.server.terminate()
        grant = until(lambda: answered(two, "x", number), "a grant")
        tokens.append(grant["token"])
        assert until(lambda: two.release(grant).status == 200, "given back")
    assert tokens == sorted(set(tokens))


def answered(member, service, number):
    """Return the grant of a job that is asked for until it is answered."""
    answer = member.request(service, job_id=f"{service}-{number}",
                            timeout_ms=5000)
    return answer if answer.status == 200 else None


def test_a_restart_of_the_database_is_survived(cluster):
    leader, (one, two) = cluster.start("a", "b", "c")
    grant = one.request("holder", job_id="h", ttl_ms=600000)
    task = one.request("tasks", wait=False, job_id="t")
    cluster.server.stop()
    until(lambda: not leader.leads, "it cannot lead any more")
    assert until(lambda: leader.get("/readyz")["detail"], "why")
    until(lambda: leader.cluster()["role"] == "follower",
          "its time is over")
    assert problem(leader.renew(grant)) == "no-leader"
    cluster.server.start()
    late = cluster.leader()
    assert late.renew(grant).status == 200
    assert late.lease(task["lease"]).status == 200


def test_a_new_timeline_grants_nothing_and_then_higher_tokens(cluster):
    """B10: a database that was failed over may have lost grants, and with them
    how far the tokens had risen."""
    leader, (one, _) = cluster.start("a", "b", "c")
    grant = one.request("holder", job_id="h", ttl_ms=600000)
    assert grant["token"] >> 40 == 1
    cluster.server.fail_over()
    until(lambda: cluster.leader().cluster()["timeline"] == 2, "it is seen")
    late = cluster.leader()
    assert late.renew(grant).status == 200  # Who holds, holds.
    assert late.release(grant).status == 200
    assert problem(late.request("x", timeout_ms=0)) == "wait-timeout"
    # An operator who knows that nothing was lost.
    cluster.server.ask("UPDATE gpu_leader SET timeline_since = NULL")
    late.stop()
    again = cluster.leader()
    assert again.request("x", timeout_ms=20000)["token"] >> 40 == 2


def test_a_cluster_waits_for_its_database(cluster):
    cluster.server.stop()
    one = cluster.add("a").start()
    until(lambda: "known to lead" in one.get("/readyz")["detail"], "why")
    assert one.get("/healthz").status == 200
    cluster.server.start()
    assert cluster.leader() is one


def test_a_member_with_other_gpus_may_not_lead(cluster, tmp_path):
    leader, _ = cluster.start("a")
    stranger = cluster.add("s", gpu=tmp_path / "other").start()
    leader.stop()
    until(lambda: "GPUs" in (stranger.cluster()["trouble"] or ""), "refused")
    assert not stranger.leads
    assert leader.start().cluster() is not None
    until(lambda: leader.leads, "the right one leads again")


def test_the_gpus_are_locked_for_the_cluster(cluster, make):
    leader, _ = cluster.start("a", "b")
    alone = make("alone")
    alone.gpu = cluster.dir / "gpu"
    alone.configure()
    process = alone.spawn()
    assert process.wait(LIMIT_S) == 1
    assert "others of the cluster" in alone.log.read_text()


def test_run_goes_on_over_a_fail_over(cluster):
    """B9: all clients re-attach; here the one that people use."""
    leader, _ = cluster.start("a", "b", "c")
    holder = subprocess.Popen(
        [BINARY, "run", "--service", "h", "--ttl", "20s", "--", "sh", "-c",
         "echo go; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=cluster.environment())
    assert holder.stdout.readline() == "go\n"
    waiter = subprocess.Popen(
        [BINARY, "run", "--service", "w", "--", "echo", "mine"],
        stdout=subprocess.PIPE, text=True, env=cluster.environment())
    until(lambda: leader.status()["waiting"] == 1, "it waits")
    leader.kill()
    late = cluster.leader()
    until(lambda: late.status()["waiting"] == 1, "it waits there")
    assert late.status()["holders"][0]["service_id"] == "h"
    holder.stdin.write("end\n")
    holder.stdin.close()
    assert holder.wait(LIMIT_S) == 0
    assert waiter.communicate(timeout=LIMIT_S)[0] == "mine\n"
    assert waiter.returncode == 0


def test_the_cluster_command_shows_it(cluster):
    leader, _ = cluster.start("a", "b")
    until(lambda: len(leader.cluster()["members"]) == 2, "both were seen")
    done = subprocess.run([BINARY, "cluster"], env=cluster.environment(),
                          capture_output=True, text=True, check=True)
    assert re.match(rf"{leader.name} leads, in epoch \d+ of timeline \d+",
                    done.stdout)
    assert done.stdout.count("follows") == 1
    done = subprocess.run([BINARY, "cluster", "--json"], check=True,
                          env=cluster.environment(), capture_output=True)
    assert json.loads(done.stdout)["leader"]["name"] == leader.name


def test_fail_over_keeps_holders_and_waiters(cluster):
    leader, (one, two) = cluster.start("a", "b", "c")
    grant = one.request("holder", job_id="h", ttl_ms=60000)
    task = two.request("x", wait=False, job_id="t")
    assert task.status == 202
    leader.kill()
    late = cluster.leader()
    assert late is not leader
    assert late.lease(grant["lease"])["token"] == grant["token"]
    assert late.renew(grant).status == 200
    assert late.lease(task["lease"])["state"] in ("queued", "away")
    assert late.release(grant).status == 200
    again = late.request("y", timeout_ms=20000)
    assert again.status == 200
    assert again["token"] > grant["token"]  # B10
    assert late.cluster()["epoch"] >= 2
