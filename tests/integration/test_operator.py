"""What operators do, and what everybody can see: A8, C13, C15, B8."""

import itertools
import json
import os
import subprocess

from conftest import BINARY, LIMIT_S, Stream, problem, until


def test_revoke_takes_a_lease_back(coordinator):
    control = coordinator.control("x")
    grant = coordinator.request("x")
    assert coordinator.admin("revoke", lease=grant["lease"]).status == 200
    assert control.expect("revoke")["reason"] == "operator"
    refused = coordinator.renew(grant)
    assert (refused.status, problem(refused)) == (409, "revoked")
    assert coordinator.request("y").status == 200


def test_drain_and_undrain(coordinator):
    grant = coordinator.request("x", vram_mib=100)
    coordinator.admin("drain")
    refused = coordinator.request("y", vram_mib=100)
    assert (refused.status, problem(refused)) == (503, "draining")
    assert "Retry-After" in refused.headers
    assert coordinator.get("/readyz").status == 503
    assert coordinator.renew(grant).status == 200
    coordinator.admin("undrain")
    assert coordinator.request("y", vram_mib=100).status == 200


def test_c15_bypass_grants_at_once(coordinator):
    coordinator.request("holder", priority=0)
    waiter = coordinator.ask("x")
    coordinator.admin("bypass", on=True)
    assert waiter.result().status == 200
    assert coordinator.status()["bypass"]
    assert coordinator.request("y").status == 200
    coordinator.admin("bypass", on=False)
    late = coordinator.request("z", timeout_ms=0)
    assert problem(late) == "wait-timeout"


def test_a8_shutdown_waits_for_the_holder(make):
    coordinator = make(extra="shutdown: 20s\n").start()
    control = coordinator.control("holder")
    grant = coordinator.request("holder", priority=0)
    waiter = coordinator.ask("x")
    assert coordinator.admin("drain", stop=True).status == 200
    assert problem(waiter.result()) == "draining"
    deadline_ms = control.expect("shutdown")["deadline_ms"]
    assert 4000 < deadline_ms <= 6000  # 30 %.
    assert coordinator.process.poll() is None
    coordinator.release(grant)
    assert coordinator.process.wait(LIMIT_S) == 0


def test_a8_what_does_not_finish_is_recorded(make):
    coordinator = make(extra="shutdown: 1s\n").start()
    grant = coordinator.request("holder", priority=0)
    coordinator.admin("drain", stop=True)
    assert coordinator.process.wait(LIMIT_S) == 0
    coordinator.start()
    assert coordinator.lease(grant["lease"])["state"] == "held"


def test_operators_call_over_the_unix_socket_only(make):
    import http.client
    coordinator = make()
    coordinator.config.write_text(coordinator.config.read_text().replace(
        "listen: null", "listen: 127.0.0.1:0"))
    coordinator.start()
    line = next(line for line in coordinator.log.read_text().splitlines()
                if "http://127.0.0.1:" in line)
    conn = http.client.HTTPConnection(line.split("http://")[1], timeout=10)
    conn.request("POST", "/gpu/admin/drain", "{}")
    reply = conn.getresponse()
    assert reply.status == 403
    assert json.loads(reply.read())["type"].endswith("/forbidden")
    conn.request("GET", "/gpu/status")
    assert conn.getresponse().status == 200


def test_a_taken_port_names_its_owner_and_the_socket_serves(make):
    import socket
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        coordinator = make()
        coordinator.config.write_text(coordinator.config.read_text().replace(
            "listen: null", f"listen: 127.0.0.1:{port}"))
        coordinator.start()
        assert coordinator.request("x").status == 200
        assert f"pid {os.getpid()}" in coordinator.log.read_text()


def test_a_simulated_card_needs_no_configuration(tmp_path):
    places = {"RUNTIME_DIRECTORY": str(tmp_path / "run"),
              "STATE_DIRECTORY": str(tmp_path / "state"),
              "XDG_CONFIG_HOME": str(tmp_path / "config")}
    process = subprocess.Popen(
        [BINARY, "serve", "--gpus", "simulated", "--listen", "none"],
        env={**os.environ, **places}, stdout=subprocess.PIPE, text=True)
    try:
        screen = "".join(itertools.takewhile(lambda line: line != "\n",
                                             process.stdout))
        assert "SIMULATED" in screen
        assert str(tmp_path / "run" / "simulated") in screen
    finally:
        process.terminate()
    assert process.wait(LIMIT_S) == 0


def test_nothing_beyond_loopback_is_served(make):
    coordinator = make()
    process = coordinator.spawn("--listen", "0.0.0.0:0")
    try:
        assert process.wait(LIMIT_S) == 2
    finally:
        process.kill()
    assert "beyond loopback" in coordinator.log.read_text()


def test_events_tell_everything_and_go_on_where_a_reader_was(coordinator):
    reader = Stream(coordinator, "/gpu/events")
    until(lambda: reader.reply is not None, "the stream opens")
    coordinator.release(coordinator.request("x"))
    until(lambda: any(event["data"].get("state") == "ended"
                      for event in list(reader.events)), "the end is told")
    assert "grant" in reader.names()
    first = reader.events[0]
    again = Stream(coordinator, "/gpu/events",
                   headers={"Last-Event-ID": first["id"]})
    until(lambda: len(again.events) >= len(reader.events) - 1, "the rest")
    assert again.events[0] == reader.events[1]
    lost = Stream(coordinator, "/gpu/events",
                  headers={"Last-Event-ID": "1-1"})
    lost.expect("reset")


def test_unknown_paths_and_methods_are_problems(coordinator):
    missing = coordinator.get("/gpu/nothing")
    assert (missing.status, problem(missing)) == (404, "not-found")
    wrong = coordinator.get("/gpu/request")
    assert (wrong.status, problem(wrong)) == (405, "method-not-allowed")
    bad = coordinator.call("POST", "/gpu/request", "{")
    assert (bad.status, problem(bad)) == (400, "not-json")


def test_metrics_follow_the_facts(coordinator):
    coordinator.release(coordinator.request("x"))
    lines = coordinator.get("/metrics").text.splitlines()
    assert "gpucoord_grants_total 1" in lines
    assert 'gpucoord_leases{state="held"} 0' in lines


def test_openapi_is_json_and_has_every_call(coordinator):
    description = coordinator.get("/openapi.json").json
    assert description["openapi"].startswith("3.1")
    request = description["paths"]["/gpu/request"]["post"]
    schema = request["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["service_id"]
    assert coordinator.get("/version")["name"] == "gpucoord"
    assert coordinator.get("/healthz").status == 200
