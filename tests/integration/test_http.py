"""Methods and hosts of the interface, and what a reload changes."""

import http.client
import re
import signal

import pytest

from conftest import LIMIT_S, problem, until


@pytest.mark.parametrize("method,path,allow", [
    ("GET", "/gpu/request", "POST"),
    ("HEAD", "/gpu/request", "POST"),
    ("POST", "/gpu/status", "GET, HEAD"),
    ("DELETE", "/gpu/leases/1", "GET, HEAD"),
    ("HEAD", "/gpu/events", "GET"),
])
def test_a_wrong_method_is_told_the_right_ones(coordinator, method, path,
                                               allow):
    wrong = coordinator.call(method, path)
    assert wrong.status == 405
    assert wrong.headers["Allow"] == allow
    if method != "HEAD":
        assert problem(wrong) == "method-not-allowed"
        assert allow in wrong["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/gpu/status", "/metrics",
                                  "/openapi.json", "/version"])
def test_head_is_get_without_the_body(coordinator, path):
    head = coordinator.call("HEAD", path)
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["Content-Length"]) > 0


def test_hosts_follow_the_configuration(make):
    coordinator = make()

    def configure(host):
        coordinator.configure(f"hosts: [{host}]\n")
        coordinator.config.write_text(coordinator.config.read_text().replace(
            "listen: null", "listen: 127.0.0.1:0"))

    def status(host):
        conn = http.client.HTTPConnection(place, timeout=LIMIT_S)
        conn.request("GET", "/version", headers={"Host": host})
        return conn.getresponse().status

    configure("a.example.org")
    coordinator.start()
    place = re.search(r"http://(127\.0\.0\.1:\d+)",
                      coordinator.log.read_text()).group(1)
    assert (status("a.example.org"), status("b.example.org")) == (200, 403)
    configure("b.example.org")
    coordinator.process.send_signal(signal.SIGHUP)
    until(lambda: status("b.example.org") == 200, "the new name is taken")
    assert status("a.example.org") == 403


def test_verify_changes_at_the_next_start_and_the_log_says_so(make):
    coordinator = make().start()
    coordinator.configure(verify="verify: measured\n")
    coordinator.process.send_signal(signal.SIGHUP)
    until(lambda: "'verify' of gpu 0 changes at the next start"
          in coordinator.log.read_text(), "it is said")
    assert not coordinator.status()["devices"][0]["measured"]


def test_the_built_in_classes_are_not_warned_of(make):
    coordinator = make().start()
    assert "share" not in coordinator.log.read_text()
