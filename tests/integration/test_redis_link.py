"""The connection to Redis: it comes, goes, hangs, and wants a password."""

import pathlib
import socket
import subprocess

import pytest

from conftest import BINARY, LIMIT_S, until
from redis_server import (make_redis, needs_redis, redis,  # noqa: F401
                          subscribe)

pytestmark = needs_redis
ROOT = pathlib.Path(__file__).parents[2]


def state(coordinator):
    return coordinator.status()["redis"]["state"]


def await_state(coordinator, wanted):
    until(lambda: state(coordinator) == wanted, f"redis is {wanted}")


def test_without_a_configuration_there_is_none(coordinator):
    assert coordinator.status()["redis"] is None
    assert "gpucoord_redis" not in coordinator.get("/metrics").text


def test_status_and_metrics_say_whether_redis_is_there(make, redis):
    coordinator = make(extra=f"redis: {redis.url}\n").start()
    await_state(coordinator, "up")
    assert coordinator.status()["redis"]["url"] == redis.url
    assert "\ngpucoord_redis_up 1\n" in coordinator.get("/metrics").text
    redis.kill()
    await_state(coordinator, "away")
    assert coordinator.status()["redis"]["why"]
    assert "\ngpucoord_redis_up 0\n" in coordinator.get("/metrics").text


def test_it_connects_again_to_one_that_comes_late_or_comes_back(
        make, make_redis):
    server = make_redis()
    coordinator = make(extra=f"redis: {server.url}\n").start()
    assert state(coordinator) == "away"
    server.start()
    await_state(coordinator, "up")
    server.kill()
    await_state(coordinator, "away")
    server.start()
    await_state(coordinator, "up")


def test_it_is_spoken_to_over_tcp_as_well(make, make_redis):
    server = make_redis()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server.start("--port", str(port), "--bind", "127.0.0.1")
    coordinator = make(extra=f"redis: redis://localhost:{port}\n").start()
    await_state(coordinator, "up")
    assert f"laddr=127.0.0.1:{port}" in server.cli("CLIENT", "LIST")
    server.kill()
    await_state(coordinator, "away")
    server.start("--port", str(port), "--bind", "127.0.0.1")
    await_state(coordinator, "up")


def test_one_that_hangs_is_taken_for_away(make, redis):
    """It holds the connection open and answers nothing: a stopped process, a
    host behind a cable that was pulled."""
    coordinator = make(extra=f"redis: {redis.url}\n").start()
    await_state(coordinator, "up")
    redis.stop_running()
    await_state(coordinator, "away")
    redis.go_on()
    await_state(coordinator, "up")


@pytest.mark.parametrize("banner", [
    b"+OK POP3 ready\r\n+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*3\r\n", b"$-7\r\n", b"-ERR max number of clients\r\n",
    b"\x00\x01\x02\x03", b""])
def test_what_is_no_redis_is_left_alone(make, tmp_path, banner):
    """A wrong port, or a server that is mad: we go on without it."""
    path = str(tmp_path / "fake.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(16)
        server.settimeout(LIMIT_S)
        coordinator = make(extra=f"redis: unix://{path}\n").start()
        for _ in range(2):  # Both connections.
            conn, _ = server.accept()
            with conn:
                conn.sendall(banner)
        assert state(coordinator) == "away"
        assert coordinator.request("gemma").status == 200


def test_a_user_with_a_password_from_a_file_is_let_in(make, make_redis):
    server = make_redis()
    server.start(*"--user default on nopass ~* &* +@all".split(),
                 *"--user gpu on >secret ~gpu:lock:* &* +@all".split())
    password = server.dir / "password"
    password.write_text("wrong\n")
    coordinator = make(extra=f"redis: {{url: '{server.url}', user: gpu, "
                       f"password_file: {password}}}\n").start()
    until(lambda: "WRONGPASS" in (coordinator.status()["redis"]["why"] or ""),
          "the password is refused")
    password.write_text("secret\n")
    await_state(coordinator, "up")
    assert "user=gpu" in server.cli("CLIENT", "LIST")
    assert "secret" not in coordinator.log.read_text()


def test_a_user_with_no_more_rights_than_documented_is_enough(
        make, make_redis, subscribe):
    page = (ROOT / "docs/api.md").read_text()
    rights = page.partition("needs\n`~gpu")[2].partition("`")[0]
    server = make_redis()
    server.start(*"--user default on nopass ~* &* +@all".split(),
                 *f"--user gpu on >secret ~gpu{rights}".split())
    password = server.dir / "password"
    password.write_text("secret\n")
    coordinator = make(extra=f"redis: {{url: '{server.url}', user: gpu, "
                       f"password_file: {password}}}\n").start()
    await_state(coordinator, "up")
    heard = subscribe(server, "channel:asr:control")
    until(lambda: server.cli("PUBSUB", "NUMPAT") == "1", "it listens")
    server.cli("PUBLISH", "channel:asr:ack",
               '{"ack_type":"request","metadata":{"job_id":"j"}}')
    grant = heard.expect("grant")
    uuid = grant["grant"]["devices"][0]["uuid"]
    assert server.key(f"gpu:lock:{uuid}")["lease"] == grant["lease"]
    server.cli("PUBLISH", "channel:asr:ack",
               '{"ack_type":"release","session_id":"%s"}' % grant["token"])
    until(lambda: server.key(f"gpu:lock:{uuid}") is None, "it is released")
    assert "NOPERM" not in coordinator.log.read_text()


def test_a_server_with_one_password_is_spoken_to(make, make_redis):
    server = make_redis()
    server.login = ["-a", "secret", "--no-auth-warning"]
    server.start("--requirepass", "secret")
    password = server.dir / "password"
    password.write_text("secret")
    coordinator = make(extra=f"redis: {{url: '{server.url}', "
                       f"password_file: {password}}}\n").start()
    await_state(coordinator, "up")


def test_a_password_in_the_address_is_refused(make):
    coordinator = make(extra="redis: redis://:secret@127.0.0.1\n")
    done = subprocess.run([BINARY, "check-config", str(coordinator.config)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "password_file" in done.stdout + done.stderr
