"""What `serve`, `check-config` and the units say to whoever runs them: A5,
guarantee 15."""

import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from conftest import BINARY, LIMIT_S, problem, until

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check_config(path):
    return subprocess.run([BINARY, "check-config", str(path)], text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)


def test_every_mistake_is_named_with_its_place(tmp_path):
    config = tmp_path / "gpucoord.yaml"
    config.write_text("listen: 127.0.0.1:4780\n"
                      "classes:\n"
                      "  chatbot: {prioritty: 0}\n"
                      "  voice: {priority: 77}\n"
                      "defaults: {ttl: 30 apples}\n"
                      "nonsense: 1\n")
    done = check_config(config)
    assert done.returncode == 2
    places = re.findall(r"gpucoord\.yaml:(\d+):(\d+): ", done.stderr)
    assert [int(line) for line, _ in places] == [3, 4, 5, 6], done.stderr


@pytest.mark.parametrize("limits, warned", [
    ((2, 1), True), ((3, 1), False)])
def test_a5_an_unreachable_share_is_warned_of_with_both_numbers(
        tmp_path, limits, warned):
    config = tmp_path / "gpucoord.yaml"
    config.write_text(
        "classes:\n  transcription: {priority: 2, weight: 70, "
        f"max_consecutive: {limits[0]}}}\n  summarization: {{priority: 2, "
        f"weight: 30, max_consecutive: {limits[1]}}}\n")
    done = check_config(config)
    assert done.returncode == 0, done.stderr
    assert ("70.0 %" in done.stderr and "66.7 %" in done.stderr) == warned, \
        done.stderr


def test_systemd_is_told_when_it_serves(make):
    """Type=notify: what is ordered after it must find it ready."""
    coordinator = make()
    path = str(coordinator.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.settimeout(LIMIT_S)
        coordinator.process = coordinator.spawn(env={"NOTIFY_SOCKET": path})
        assert b"READY=1" in told.recv(4096).split(b"\n")
        assert coordinator.get("/healthz").status == 200


@pytest.mark.skipif(shutil.which("systemd-analyze") is None,
                    reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", ["gpucoord", "gpucoord-user"])
def test_systemd_understands_its_units(tmp_path, unit):
    """An unknown key or a value that systemd ignores would go unnoticed."""
    text = (ROOT / f"packaging/{unit}.service.in").read_text()
    text = text.replace("@type@", "notify").replace("@bindir@/gpucoord",
                                                    "/bin/true")
    # Pages that are not installed here.
    text = re.sub("^Documentation=.*$", "", text, flags=re.MULTILINE)
    file = tmp_path / f"{unit}.service"
    file.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(file)], text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)
    said = [line for line in done.stderr.splitlines() if unit in line]
    assert said == []


def test_a_second_coordinator_of_a_queue_is_told_of_the_first(make):
    one = make("one").start()
    two = make("two")
    two.configure(store=one.dir / "queue.db")
    assert two.spawn().wait(LIMIT_S) == 1
    assert str(one.process.pid) in two.log.read_text()
    assert one.request("x").status == 200


@pytest.fixture(name="tcp")
def fixture_tcp(make):
    """Where a coordinator serves TCP."""
    coordinator = make().start("--listen", "127.0.0.1:0")
    return re.search(r"http://(127\.0\.0\.1:\d+)",
                     coordinator.log.read_text())[1]


@pytest.mark.parametrize("headers, name", [
    ({"Host": "evil.example"}, "foreign-host"),
    ({"Host": "localhost", "Origin": "http://evil.example"},
     "foreign-origin"),
    ({"Host": "localhost", "Origin": "null"}, "foreign-origin")])
def test_a_foreign_page_is_kept_out(tcp, headers, name):
    """A browser can be led here under a foreign name (DNS rebinding)."""
    conn = http.client.HTTPConnection(tcp, timeout=LIMIT_S)
    conn.request("POST", "/gpu/request", '{"service_id":"x"}', headers)
    reply = conn.getresponse()
    body = reply.read().decode()
    assert reply.status == 403
    assert f'/{name}"' in body
    assert ("hosts:" in body) == (name == "foreign-host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]:4780",
                                  "gpu", "host.docker.internal:4780"])
def test_our_own_names_are_let_in(tcp, host):
    conn = http.client.HTTPConnection(tcp, timeout=LIMIT_S)
    conn.request("GET", "/version", headers={"Host": host})
    assert conn.getresponse().status == 200


# What no coordinator answers: the command line says it, or it ends `serve`.
NEVER_SENT = {"unreachable", "busy", "corrupt", "version", "io", "no-leader"}


def test_each_type_of_problem_is_documented_with_its_status():
    """A client goes by the type; one that is not in the list is a riddle."""
    rows = re.findall(r'^X\(\w+, -\d+, (\d+), \d+, "([a-z-]+)"',
                      (ROOT / "src/base/err.def").read_text(), re.MULTILINE)
    assert len(rows) > 30
    page = (ROOT / "docs/api.md").read_text()
    table = page.split("| status | `type` ends in |")[1].split("\n\n")[0]
    listed = {(status, name)
              for line in table.splitlines()
              for status in re.findall(r"\d{3}", line.split("|")[1])
              for name in re.findall(r"`/([a-z-]+)`", line)} \
        if table else set()
    for status, name in rows:
        if name not in NEVER_SENT:
            assert (status, name) in listed, name
    names = {name for _, name in rows}
    assert {name for _, name in listed} <= names


def test_guarantees_that_tests_name_are_those_of_the_page():
    """A number that means another promise in the page misleads both ways."""
    page = (ROOT / "docs/guarantees.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (.*?) \|", page, re.MULTILINE))
    assert sorted(map(int, rows)) == list(range(1, 19))
    words = {"15": "input", "16": "memory", "17": "run"}
    for number, word in words.items():
        assert word in rows[number]
    named = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix in (".c", ".h", ".py"):
            named |= set(re.findall(r"[Gg]uarantee (\d+)", path.read_text()))
    assert {"7", "10", "12", "15", "16"} <= named <= set(rows)
