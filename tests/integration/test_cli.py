"""The commands against a real coordinator: B2, C3, C7, C10, C11, C12, C15."""

import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import threading

import pytest

from conftest import BINARY, LIMIT_S, until

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Says that it runs, and ends when it is told so; a signal ends it with 5.
PATIENT = """
trap 'echo "$(date +%s)" >{dir}/signalled; exit 5' TERM
trap 'echo usr1 >{dir}/usr1' USR1
echo $$ >{dir}/pid.new && mv {dir}/pid.new {dir}/pid
while ! [ -e {dir}/end ]; do sleep 0.02; done
exit 7
"""


# Never forks once it has said so: a shell that is stopped while it does, is
# not shown as stopped.
IDLE = "echo $$ >{dir}/pid.new && mv {dir}/pid.new {dir}/pid; exec sleep 1000"


class Cli:
    """The program, in an environment that points to one coordinator."""

    def __init__(self, url, directory):
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("GPUCOORD_", "CUDA_"))}
        self.env["GPUCOORD_URL"] = url
        self.dir = directory
        self.started = []

    def __call__(self, *words, **env):
        return subprocess.run(
            [BINARY, *words], env={**self.env, **env}, text=True,
            capture_output=True, timeout=LIMIT_S, check=False)

    def json(self, *words):
        """Run a command that has to succeed, and read what it prints."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def spawn(self, *words, **env):
        """Start the program; what it says goes to files."""
        process = subprocess.Popen(
            [BINARY, *words], env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=open(self.dir / "out", "wb"),
            stderr=open(self.dir / "err", "wb"))
        self.started.append(process)
        return process

    def run(self, *options, script=PATIENT):
        """Start `run` with a patient program; return it, and its pid."""
        process = self.spawn("run", *options, "--", "sh", "-c",
                             script.format(dir=self.dir))
        until((self.dir / "pid").exists, "the program runs")
        return process, int((self.dir / "pid").read_text())

    def said(self):
        return (self.dir / "err").read_text()

    def end(self, process):
        """Let the patient program end; return run's exit status."""
        (self.dir / "end").touch()
        return process.wait(LIMIT_S)


@pytest.fixture
def cli(coordinator, tmp_path):
    """Commands for the coordinator of one card."""
    commands = Cli(f"unix://{coordinator.socket}", tmp_path)
    yield commands
    for process in commands.started:
        if process.poll() is None:
            process.kill()
            process.wait(LIMIT_S)


def holders(coordinator):
    return coordinator.status()["holders"]


def stat_of(pid):
    """Return the state of a process and what follows it in its line of /proc;
    ["Z"] where there is none any more."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ["Z"]
    return stat.rpartition(")")[2].split()


def is_stopped(pid):
    return stat_of(pid)[0] == "T"


def is_gone(pid):
    # An orphan in a container may never be reaped.
    return stat_of(pid)[0] == "Z"


def session_of(leader):
    """Return the processes that live in the session of @leader."""
    stats = {int(name): stat_of(name) for name in os.listdir("/proc")
             if name.isdigit()}
    return [pid for pid, stat in stats.items()
            if stat[0] != "Z" and int(stat[3]) == leader]


# ---- run -------------------------------------------------------------------


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_c11_run_keeps_the_exit_status(cli, coordinator, script, status):
    assert cli("run", "--", "sh", "-c", script).returncode == status
    assert holders(coordinator) == []


def test_run_ends_as_a_shell_where_the_command_cannot_run(cli, coordinator):
    missing = cli("run", "--", "no-such-program")
    assert missing.returncode == 127
    assert missing.stderr == ("gpucoord: cannot run 'no-such-program': "
                              "No such file or directory\n")
    assert cli("run", "--", "/tmp").returncode == 126
    assert holders(coordinator) == []


def test_run_tells_its_child_of_the_grant(cli, coordinator):
    done = cli("run", "--service", "me", "--", "env")
    env = dict(line.split("=", 1) for line in done.stdout.splitlines()
               if "=" in line)
    ended = coordinator.lease(int(env["GPUCOORD_LEASE"]))
    assert ended["service_id"] == "me"
    assert ended["token"] == int(env["GPUCOORD_TOKEN"])
    uuid = coordinator.status()["devices"][0]["uuid"]
    assert env["CUDA_VISIBLE_DEVICES"] == uuid


# Ignores SIGTERM, which it gets when run dies; says its number.
STUBBORN = """trap '' TERM
echo $$ >{dir}/pid.new && mv {dir}/pid.new {dir}/pid
while :; do sleep 1; done"""

# Starts a program that leaves its group and session, then stays itself.
FLEEING = """setsid sh -c 'trap "" TERM
    echo $$ >{dir}/away.new && mv {dir}/away.new {dir}/away
    while :; do sleep 1; done' &
while [ ! -e {dir}/away ]; do sleep 0.01; done
echo $$ >{dir}/pid.new && mv {dir}/pid.new {dir}/pid
while :; do sleep 1; done"""

# A runtime whose client ends at once, and whose container ends with a file.
RUNTIME = """#!/bin/sh
echo "$@" >>{dir}/calls
case $1 in
run) exit 5 ;;
wait) echo 0; while [ ! -e {dir}/end ]; do sleep 0.01; done ;;
esac"""


def start_script(cli, script):
    """Start `run` with @script; return run, and the number of its child."""
    process = cli.spawn("run", "--ttl", "10min", "--", "sh", "-c",
                        script.format(dir=cli.dir))
    until((cli.dir / "pid").exists, "the program runs")
    return process, int((cli.dir / "pid").read_text())


def is_watched(coordinator, cli, pid):
    """Say whether the coordinator holds a pidfd of @pid."""
    fds = pathlib.Path(f"/proc/{coordinator.process.pid}/fdinfo")
    for info in fds.iterdir():
        try:
            text = info.read_text()
        except FileNotFoundError:
            continue
        if f"\nPid:\t{pid}\n" in text:
            return True
    return False


def test_c3_run_hands_its_lease_to_its_child(cli, coordinator):
    """kill -9 of `run` does not free the GPU that its child still uses; kill -9
    of the child does, long before the TTL."""
    process, pid = start_script(cli, STUBBORN)
    until(lambda: is_watched(coordinator, cli, pid), "the child is watched")
    process.kill()
    process.wait(LIMIT_S)
    [lease] = holders(coordinator)
    assert lease["state"] == "held"
    os.kill(pid, signal.SIGKILL)
    until(lambda: holders(coordinator) == [], "the lease has ended")


def test_c3_who_leaves_its_session_does_not_escape_a_cgroup(cli, coordinator):
    process, pid = start_script(cli, FLEEING)
    away = int((cli.dir / "away").read_text())
    try:
        cgroup = pathlib.Path(f"/proc/{away}/cgroup").read_text()
        if "/gpucoord-run-" not in cgroup:
            pytest.skip("no cgroup can be made here")
        until(lambda: is_watched(coordinator, cli, pid), "it is watched")
        process.kill()
        process.wait(LIMIT_S)
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid), "the child has died")
        until(lambda: not is_watched(coordinator, cli, pid), "it was noticed")
        [lease] = holders(coordinator)
        assert lease["state"] == "held"
    finally:
        os.kill(away, signal.SIGKILL)
    until(lambda: holders(coordinator) == [], "the lease has ended")


def test_run_leaves_no_cgroup_behind(cli, coordinator):
    done = cli("run", "--", "cat", "/proc/self/cgroup")
    [path] = [line[3:] for line in done.stdout.splitlines()
              if line.startswith("0::")] or [""]
    if "/gpucoord-run-" not in path:
        pytest.skip("no cgroup can be made here")
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    [mount] = [line.split()[1] for line in mounts
               if line.split()[2] == "cgroup2"][:1]
    assert not pathlib.Path(mount + path).exists()


@pytest.mark.parametrize("command", [
    ("docker", "run", "image"), ("sudo", "podman", "run", "image"),
    ("/usr/bin/docker", "--context", "x", "compose", "up")])
def test_c3_run_refuses_the_client_of_a_container(cli, coordinator, command):
    done = cli("run", "--", *command)
    assert done.returncode == 2
    assert done.stderr == (
        f"gpucoord: '{command[0]}' starts a container and is not itself the "
        "holder of the gpu: name the container with --container NAME\n")
    assert holders(coordinator) == []


def test_c3_run_holds_the_gpu_until_its_container_ends(cli, coordinator):
    runtime = cli.dir / "docker"
    runtime.write_text(RUNTIME.format(dir=cli.dir))
    runtime.chmod(0o755)
    process = cli.spawn("run", "--container", "box", "--", str(runtime), "run",
                        "--name", "box", "-d", "image")
    calls = cli.dir / "calls"
    until(lambda: calls.exists() and "wait box" in calls.read_text(),
          "the client has ended, the container is waited for")
    [lease] = holders(coordinator)
    assert lease["state"] == "held"
    (cli.dir / "end").touch()
    assert process.wait(LIMIT_S) == 5
    assert holders(coordinator) == []
    assert calls.read_text() == "run --name box -d image\nwait box\n"


def test_run_is_named_after_its_command_and_not_preemptible(cli, coordinator):
    process, _ = cli.run()
    [lease] = holders(coordinator)
    assert lease["service_id"] == "sh"
    assert not lease["preemptible"]
    assert lease["job_id"].startswith("run-")
    assert cli.end(process) == 7


def test_run_forwards_signals(cli):
    process, pid = cli.run()
    process.send_signal(signal.SIGUSR1)
    until((cli.dir / "usr1").exists, "the program hears USR1")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 5
    assert (cli.dir / "signalled").exists()
    assert is_gone(pid)


def test_run_stops_and_goes_on_with_its_program(cli, coordinator):
    """A program that went on alone would use a GPU for which nobody renews."""
    process, pid = cli.run(script=IDLE)
    process.send_signal(signal.SIGTSTP)
    until(lambda: is_stopped(pid) and is_stopped(process.pid), "both stop")
    process.send_signal(signal.SIGCONT)
    until(lambda: not is_stopped(pid), "the program goes on")
    [lease] = holders(coordinator)
    assert lease["service_id"] == "sh"
    process.terminate()
    assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert cli.said() == ""


@pytest.mark.long
def test_a_lease_lost_while_stopped_is_told_when_run_goes_on(
        cli, coordinator):
    process, pid = cli.run("--ttl", "1s", "--on-lost", "term",
                           script=IDLE)
    process.send_signal(signal.SIGTSTP)
    until(lambda: holders(coordinator) == [], "the lease has ended")
    assert is_stopped(pid)
    process.send_signal(signal.SIGCONT)
    assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert "it was not renewed while this was stopped" in cli.said()


def test_run_that_is_stopped_while_it_waits_is_not_granted(cli, coordinator):
    """It keeps its place, and whoever comes after it is served meanwhile."""
    grant = coordinator.request("other")
    process = cli.spawn("run", "--service", "me", "--", "true")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    [before] = coordinator.status()["waiters"]
    process.send_signal(signal.SIGTSTP)
    until(lambda: coordinator.status()["away"] == 1, "it is away")
    next_one = coordinator.ask("next")
    coordinator.release(grant)
    grant = next_one.result()
    process.send_signal(signal.SIGCONT)
    until(lambda: coordinator.status()["waiting"] == 1, "it waits again")
    [after] = coordinator.status()["waiters"]
    assert after["lease"] == before["lease"]
    coordinator.release(grant)
    assert process.wait(LIMIT_S) == 0


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Ignored where the tests run behind another shell's `&`.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                       {**env, "PS1": "$ ", "HISTFILE": ""})
        self.shown = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while True:
                self.shown += os.read(self.fd, 4096)
        except OSError:
            pass  # The shell has ended.

    def type(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        """End the shell and its jobs, also one that is stopped."""
        while members := session_of(self.pid):
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.thread.join(LIMIT_S)
        os.close(self.fd)


@pytest.mark.parametrize("where", ["foreground", "background"])
def test_run_is_a_job_of_a_shell(cli, coordinator, where):
    """Ctrl-Z, fg and Ctrl-C, for a run that began with its terminal and for
    one that was brought to it later."""
    (cli.dir / "script").write_text(IDLE.format(dir=cli.dir))
    terminal = Terminal(cli.env)
    try:
        later = " &" if where == "background" else ""
        terminal.type(f"{BINARY} run -- sh {cli.dir}/script{later}\n")
        until((cli.dir / "pid").exists, "the program runs")
        pid = int((cli.dir / "pid").read_text())
        job = int(holders(coordinator)[0]["job_id"].split("-")[1])
        for key in ["fg\n", "", ""] if later else ["", ""]:
            terminal.type(key)
            until(lambda: os.tcgetpgrp(terminal.fd) == os.getpgid(job),
                  "it is in the foreground")
            terminal.type("\x1a")
            until(lambda: is_stopped(pid), "Ctrl-Z stops the program")
            until(lambda: os.tcgetpgrp(terminal.fd) == terminal.pid,
                  "the shell goes on")
            terminal.type("fg\n")
            until(lambda: not is_stopped(pid), "the program goes on")
        terminal.type("\x03")
        until(lambda: is_gone(pid), "Ctrl-C ends the program")
        until(lambda: holders(coordinator) == [], "the lease has ended")
    finally:
        terminal.close()


def test_run_renews(cli, coordinator):
    """It holds for longer than its TTL, which only a renewal explains."""
    process, _ = cli.run("--ttl", "1s")
    [lease] = until(
        lambda: [one for one in holders(coordinator)
                 if one["held_ms"] > 2000], "held for two TTLs")
    assert lease["state"] == "held"
    assert 0 < lease["expires_in_ms"] <= 1000
    assert cli.end(process) == 7
    assert cli.said() == ""


def test_c10_run_says_on_whom_it_waits(cli, coordinator):
    grant = coordinator.request("other")
    process = cli.spawn("run", "--", "sh", "-c", f"echo ran >{cli.dir}/ran")
    until(lambda: "waiting for the gpu: held by 'other' (lease "
          in cli.said(), "it says on whom it waits")
    assert not (cli.dir / "ran").exists()
    coordinator.release(grant)
    assert process.wait(LIMIT_S) == 0
    assert (cli.dir / "ran").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_withdraws_when_it_is_told_to_end(cli, coordinator, number):
    grant = coordinator.request("other")
    process = cli.spawn("run", "--", "true")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    process.send_signal(number)
    assert process.wait(LIMIT_S) == 128 + number
    until(lambda: coordinator.status()["waiters"] == [], "nobody waits")
    coordinator.release(grant)
    assert coordinator.request("next", timeout_ms=0).status == 200


def test_run_gives_up_after_its_timeout(cli, coordinator):
    coordinator.request("other")
    done = cli("run", "--timeout", "100ms", "--", "true")
    assert done.returncode == 3
    assert "cannot get the gpu: not granted in time" in done.stderr
    assert "other" in done.stderr


def test_c3_lease_ends_with_run(cli, coordinator):
    """kill -9: the lease ends at once, not at its TTL, and so does the
    program, which nobody would renew for."""
    process, pid = cli.run("--ttl", "10min")
    process.kill()
    process.wait(LIMIT_S)
    until(lambda: holders(coordinator) == [], "the lease has ended")
    until(lambda: is_gone(pid), "the program has ended")
    assert (cli.dir / "signalled").exists()


def test_run_hands_on_what_it_was_given_and_nothing_else(cli):
    """Its connection in the child would outlive it."""
    read, write = os.pipe()
    done = subprocess.run(
        [BINARY, "run", "--", "sh", "-c", "echo /proc/$$/fd/*"], env=cli.env,
        pass_fds=(write,), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=LIMIT_S, check=True)
    files = {int(path.rpartition("/")[2]) for path in done.stdout.split()}
    # The shell opens one to read the directory.
    assert {0, 1, 2, write} <= files
    assert len(files) <= 5, files
    os.close(read)
    os.close(write)


def test_run_without_a_coordinator_just_runs(cli):
    done = cli("run", "--", "sh", "-c", "echo $GPUCOORD_LEASE; exit 3",
               GPUCOORD_URL="off")
    assert (done.returncode, done.stdout) == (3, "\n")


# ---- run loses its lease ---------------------------------------------------


def revoke(coordinator):
    [lease] = holders(coordinator)
    assert coordinator.admin("revoke", lease=lease["lease"]).status == 200


def test_lost_lease_lets_the_program_go_on(cli, coordinator):
    process, _ = cli.run("--ttl", "1s")
    revoke(coordinator)
    until(lambda: "is lost" in cli.said(), "run says so")
    assert "the program goes on without it" in cli.said()
    assert cli.end(process) == 7


def test_lost_lease_ends_the_program(cli, coordinator):
    process, _ = cli.run("--ttl", "1s", "--on-lost", "term")
    revoke(coordinator)
    assert process.wait(LIMIT_S) == 5
    assert "is told to end" in cli.said()


@pytest.mark.long
def test_lost_lease_stops_the_program_until_it_is_held_again(
        cli, coordinator):
    process, pid = cli.run("--ttl", "1s", "--on-lost", "stop",
                           script=IDLE)
    other = coordinator.ask("other", priority=0)
    revoke(coordinator)
    grant = other.result()
    until(lambda: is_stopped(pid), "the program is stopped")
    until(lambda: coordinator.status()["waiting"] == 1, "run asks again")
    coordinator.release(grant)
    until(lambda: not is_stopped(pid), "the program goes on")
    [lease] = holders(coordinator)
    assert lease["service_id"] == "sh"
    process.terminate()
    assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert "is held again" in cli.said()


def test_trust_ends_while_the_coordinator_is_away(cli, coordinator):
    process, _ = cli.run("--ttl", "1s", "--on-lost", "term")
    coordinator.kill()
    assert process.wait(LIMIT_S) == 5
    assert "cannot renew lease" in cli.said()
    assert "it could not be renewed in time" in cli.said()


def test_stopped_program_ends_where_the_gpu_cannot_be_had_again(
        cli, coordinator):
    """It would stay stopped for ever: its class has gone with the store."""
    coordinator.stop()
    coordinator.configure("classes: {gone: {priority: 2}}\n")
    coordinator.start()
    process, _ = cli.run("--ttl", "2s", "--class", "gone",
                         "--on-lost", "stop")
    coordinator.kill()
    for path in coordinator.dir.glob("queue.db*"):
        path.unlink()
    coordinator.configure()
    coordinator.start()
    assert process.wait(LIMIT_S) == 5
    assert "cannot get the gpu again: class" in cli.said()
    assert "the stopped program is told to end" in cli.said()


def test_run_cannot_pause(cli, coordinator):
    """An operator's pause is answered, not left to its deadline."""
    process, _ = cli.run("--ttl", "1s")
    [lease] = holders(coordinator)
    if coordinator.admin("pause", lease=lease["lease"]).status == 200:
        until(lambda: "is asked to pause" in cli.said(), "run answers")
    assert cli.end(process) == 7


# ---- run and restarts ------------------------------------------------------


def test_c7_run_holds_through_a_restart(cli, coordinator):
    process, _ = cli.run("--ttl", "2s")
    [before] = holders(coordinator)
    coordinator.kill()
    until(lambda: "cannot renew lease" in cli.said(), "a renewal fails")
    coordinator.start()
    [after] = holders(coordinator)
    assert (after["lease"], after["token"]) == (before["lease"],
                                                before["token"])
    until(lambda: holders(coordinator)[0]["state_ms"] > 2500 and
          holders(coordinator)[0]["state"] == "held", "renewed again")
    assert cli.end(process) == 7
    assert "is lost" not in cli.said()
    assert holders(coordinator) == []


def test_c7_run_waits_through_a_restart(cli, coordinator):
    grant = coordinator.request("other", ttl_ms=60000)
    process = cli.spawn("run", "--service", "me", "--", "true")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    [before] = coordinator.status()["waiters"]
    coordinator.kill()
    until(lambda: "the coordinator is away" in cli.said(), "run notices")
    coordinator.start()
    until(lambda: coordinator.status()["waiting"] == 1, "it waits again")
    [after] = coordinator.status()["waiters"]
    assert after["lease"] == before["lease"]
    coordinator.release(grant)
    assert process.wait(LIMIT_S) == 0


def test_run_asks_a_coordinator_that_forgot(cli, coordinator):
    """A store that was lost: the lease is unknown, and is asked for anew."""
    process, _ = cli.run("--ttl", "2s")
    coordinator.kill()
    for path in coordinator.dir.glob("queue.db*"):
        path.unlink()
    coordinator.start()
    until(lambda: "is held again" in cli.said(), "run has a new lease")
    [lease] = holders(coordinator)
    assert lease["service_id"] == "sh"
    assert cli.end(process) == 7
    assert holders(coordinator) == []


# ---- Over TCP --------------------------------------------------------------


@pytest.fixture
def remote(make, tmp_path):
    """A coordinator that is reached over TCP, and commands for it."""
    coordinator = make().start("--listen", "127.0.0.1:0")
    url = re.search(r"http://127.0.0.1:\d+", coordinator.log.read_text())[0]
    commands = Cli(url, tmp_path)
    yield commands, coordinator
    for process in commands.started:
        process.kill()
        process.wait(LIMIT_S)


def test_run_over_tcp(remote):
    cli, coordinator = remote
    assert cli("run", "--", "sh", "-c", "exit 7").returncode == 7
    assert holders(coordinator) == []


def test_run_over_tcp_withdraws(remote):
    """Nobody watches its process there: it has to say that it goes."""
    cli, coordinator = remote
    coordinator.request("other")
    process = cli.spawn("run", "--", "true")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 143
    assert coordinator.status()["waiters"] == []


def test_operator_needs_the_socket(remote):
    cli, _ = remote
    done = cli("drain")
    assert done.returncode == 4
    assert "use the coordinator's socket" in done.stderr


# ---- CUDA_VISIBLE_DEVICES --------------------------------------------------


@pytest.fixture
def two(make, tmp_path):
    """Commands for a coordinator of two cards, and the UUIDs of these."""
    coordinator = make(gpus="[24576, 24576]").start()
    uuids = [device["uuid"] for device in coordinator.status()["devices"]]
    return Cli(f"unix://{coordinator.socket}", tmp_path), uuids


def test_c12_inherited_devices_narrow_the_request(two):
    cli, uuids = two
    show = ("--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    for visible in ("1", uuids[1], f"{uuids[1]},-1,{uuids[0]}"):
        done = cli("run", *show, CUDA_VISIBLE_DEVICES=visible)
        assert done.stdout == f"{uuids[1]}\n", done.stderr
    done = cli("run", "--device", "0,1", *show, CUDA_VISIBLE_DEVICES="1")
    assert done.stdout == f"{uuids[1]}\n"
    done = cli("run", "--gpus", "2", *show, CUDA_VISIBLE_DEVICES="0,1")
    assert set(done.stdout.strip().split(",")) == set(uuids)


def test_c12_no_visible_device_is_a_mistake(two):
    cli, _ = two
    done = cli("run", "--", "true", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    done = cli("run", "--device", "0", "--", "true", CUDA_VISIBLE_DEVICES="1")
    assert done.returncode == 2
    assert "leaves no gpu" in done.stderr


# ---- request, release, renew, ack, cancel ----------------------------------


def test_request_renew_and_release(cli):
    grant = cli.json("request", "--service", "x", "--ttl", "10s")
    assert grant["state"] == "held"
    name = (str(grant["lease"]), str(grant["token"]))
    renewed = cli.json("renew", *name, "--ttl", "20s")
    assert 10000 < renewed["expires_in_ms"] <= 20000
    ended = cli.json("release", *name)
    assert ended["reason"] == "released"


def test_what_a_request_is_given_arrives(cli, coordinator):
    cli.json("request", "--service", "x", "--priority", "1", "--job", "j",
             "--metadata", '{"a": [1]}', "--vram", "1GiB", "--ttl", "20s",
             "--not-preemptible")
    [lease] = holders(coordinator)
    assert (lease["service_id"], lease["priority"]) == ("x", 1)
    assert (lease["job_id"], lease["metadata"]) == ("j", {"a": [1]})
    assert lease["devices"][0]["vram_mib"] == 1024
    assert not lease["preemptible"]
    assert 10000 < lease["expires_in_ms"] <= 20000
    grant = cli.json("request", "--service", "y", "--vram", "100",
                     "--priority", "0", "--preemptible")
    assert coordinator.lease(grant["lease"])["preemptible"]


def test_an_error_is_told_with_its_reason(cli, coordinator):
    grant = cli.json("request", "--service", "x", "--preemptible")
    name = (str(grant["lease"]), str(grant["token"]))
    cli.json("renew", *name)
    assert cli("pause", name[0]).returncode == 0
    assert cli("ack", "error", *name, "--detail", "no room").returncode == 0
    until(lambda: holders(coordinator) == [], "it is taken back")
    assert (f"lease {grant['lease']} cannot pause: no room"
            in coordinator.log.read_text())


def test_serve_is_told_where_to_serve_and_to_keep_its_queue(make, tmp_path):
    """The command line goes before the configuration."""
    coordinator = make()
    coordinator.socket = str(tmp_path / "other.sock")
    store = tmp_path / "other.db"
    coordinator.start("--socket", coordinator.socket, "--store", str(store))
    coordinator.request("x", wait=False, job_id="j")
    assert store.exists()
    assert not (coordinator.dir / "queue.db").exists()
    assert not (coordinator.dir / "run").exists()


def test_shell_script_needs_no_json(cli):
    script = f"""set -ae
        eval "$({BINARY} request --service x --watch-pid $$ --shell)"
        {BINARY} renew
        {BINARY} release"""
    done = subprocess.run(["sh", "-c", script], env=cli.env, text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"renewed: expires in \d+ s\nreleased after .*\n",
                        done.stdout)


def test_c3_watched_process_ends_the_lease(cli, coordinator):
    script = f"{BINARY} request --service x --watch-pid $$"
    subprocess.run(["sh", "-c", f"{script}; exit 0"], env=cli.env,
                   timeout=LIMIT_S, check=True, capture_output=True)
    until(lambda: holders(coordinator) == [], "the lease has ended")


def test_durable_task_waits_without_a_process(cli, coordinator):
    done = cli("request", "--service", "x", "--no-wait")
    assert done.returncode == 2  # It has no job_id.
    cli.json("request", "--service", "other")
    task = cli.json("request", "--service", "x", "--job", "j", "--no-wait")
    assert task["state"] == "queued"
    ended = cli.json("cancel", str(task["lease"]))
    assert ended["reason"] == "cancelled"
    assert coordinator.status()["waiters"] == []


def test_c7_request_with_a_job_waits_through_a_restart(cli, coordinator):
    grant = coordinator.request("other", ttl_ms=60000)
    process = cli.spawn("request", "--service", "x", "--job", "j", "--json")
    until(lambda: coordinator.status()["waiting"] == 1, "it waits")
    coordinator.kill()
    coordinator.start()
    until(lambda: coordinator.status()["waiting"] == 1, "it waits again")
    coordinator.release(grant)
    assert process.wait(LIMIT_S) == 0
    answer = json.loads((cli.dir / "out").read_text())
    assert answer["service_id"] == "x"


def test_b5_pause_and_ack_by_command(cli, coordinator):
    """A script that renews hears of the pause, and acknowledges it."""
    grant = cli.json("request", "--service", "x", "--preemptible")
    name = (str(grant["lease"]), str(grant["token"]))
    cli.json("renew", *name)
    assert cli("pause", name[0]).returncode == 0
    heard = cli("renew", *name).stdout
    assert heard.startswith("pause: an operator needs "), heard
    assert cli("ack", "paused", *name, "--vram", "0").returncode == 0
    until(lambda: coordinator.status()["paused"] != [], "it is paused")
    assert cli("resume", "x").returncode == 0
    until(lambda: holders(coordinator) != [], "it holds again")
    heard = cli("renew", *name).stdout
    assert heard.startswith("resume: lease "), heard
    token = str(holders(coordinator)[0]["token"])
    assert token in heard
    assert cli("ack", "resumed", name[0], token).returncode == 0
    assert cli("release", name[0], token).returncode == 0


# ---- Exit statuses and messages --------------------------------------------


def test_c6_refusals_have_status_4(cli):
    grant = cli.json("request", "--service", "x")
    stale = cli("release", str(grant["lease"]), str(grant["token"] - 1))
    assert stale.returncode == 4
    assert stale.stderr.startswith(
        f"gpucoord: cannot release lease {grant['lease']}: ")
    assert "request it again" in stale.stderr
    as_json = cli("release", str(grant["lease"]), "1", "--json")
    assert json.loads(as_json.stdout)["type"].endswith("/stale-token")
    assert cli("why", "999999").returncode == 4
    assert cli("pause", "nobody").returncode == 4
    assert cli("release", "--service", "nobody").returncode == 4


def test_usage_has_status_2(cli):
    for words in ((), ("nonsense",), ("request",), ("status", "x"),
                  ("release", "1"), ("release", "x", "1"), ("ack", "done"),
                  ("bypass", "maybe"), ("run",), ("status", "--nonsense"),
                  ("cancel", "x"), ("bypass", "off", "--for", "1h"),
                  ("run", "--on-lost", "x", "--", "true"),
                  ("request", "--service", "a b"),
                  ("request", "--service", "a", "--vram", "4GB")):
        done = cli(*words)
        assert done.returncode == 2, words
        assert done.stderr.startswith("gpucoord: "), words
        assert done.stderr.count("\n") == 1, words


def test_impossible_request_names_the_field(cli):
    done = cli("request", "--service", "x", "--vram", "1TiB")
    assert done.returncode == 2
    assert "vram_mib" in done.stderr
    done = cli("request", "--service", "x", "--class", "nonsense")
    assert done.returncode == 2
    assert "class" in done.stderr


def test_not_granted_in_time_has_status_3(cli, coordinator):
    coordinator.request("other")
    done = cli("request", "--service", "x", "--timeout", "0")
    assert done.returncode == 3
    assert "not granted in time" in done.stderr


@pytest.mark.parametrize("words", [
    ("status",), ("why",), ("run", "--", "true"), ("request", "--service",
                                                   "x")])
def test_unreachable_has_status_5_and_says_how_to_start_one(cli, words):
    done = cli(*words, GPUCOORD_URL="", XDG_RUNTIME_DIR=str(cli.dir))
    assert done.returncode == 5
    assert f"unix://{cli.dir}/gpucoord/gpucoord.sock" in done.stderr
    assert "unix:///run/gpucoord/gpucoord.sock" in done.stderr
    assert "start one with 'gpucoord serve'" in done.stderr
    assert cli(*words[:1], "--help", GPUCOORD_URL="off").returncode == 0


def test_first_coordinator_that_answers_is_taken(cli):
    url = f"unix://{cli.dir}/nowhere.sock,{cli.env['GPUCOORD_URL']}"
    assert cli("status", GPUCOORD_URL=url).returncode == 0
    assert cli("run", "--", "true", GPUCOORD_URL=url).returncode == 0


def test_wrong_url_and_token_file_are_usage(cli):
    assert cli("status", GPUCOORD_URL="localhost:4780").returncode == 2
    done = cli("status", GPUCOORD_AUTH_FILE=str(cli.dir / "nothing"))
    assert done.returncode == 2
    assert "GPUCOORD_AUTH_FILE" in done.stderr


@pytest.fixture
def stranger(tmp_path):
    """A server that answers each connection with the same bytes, and keeps
    what it was asked."""
    path = str(tmp_path / "stranger.sock")
    answers = []
    asked = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve():
            while True:
                try:
                    conn, _ = server.accept()
                except OSError:
                    return
                with conn:
                    asked.append(conn.recv(65536))
                    conn.sendall(answers[0])

        threading.Thread(target=serve, daemon=True).start()
        yield f"unix://{path}", answers, asked
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer, status, words", [
    (b"", 5, "did not answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", 5,
     "did not answer"),
    (b"SSH-2.0-OpenSSH\r\n", 5, "did not answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1,
     "HTTP 200, is not a coordinator's"),
    (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", 1,
     "HTTP 404, is not a coordinator's")])
def test_strange_answers_are_told(cli, stranger, answer, status, words):
    url, answers, _ = stranger
    answers.append(answer)
    for command in (("status",), ("request", "--service", "x"),
                    ("release", "1", "2"), ("run", "--timeout", "0",
                                            "--", "true")):
        done = cli(*command, GPUCOORD_URL=url)
        assert done.returncode == status, done.stderr
        assert words in done.stderr


def test_bearer_token_is_sent(cli, stranger, tmp_path):
    url, answers, asked = stranger
    answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    cli("status", GPUCOORD_URL=url, GPUCOORD_AUTH_FILE=str(token))
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in asked[0]


# ---- status and why --------------------------------------------------------


def test_a3_status_for_people(cli, coordinator):
    first = cli("status").stdout.splitlines()
    assert first[0] == "nobody holds a gpu, nobody waits"
    coordinator.request("asr", **{"class": "transcription"})
    coordinator.ask("gemma", priority=0, preemptible=False)
    lines = cli("status").stdout.splitlines()
    assert re.fullmatch(r"'asr' has held gpu 0 for .*, 'gemma' waits",
                        lines[0])
    assert "holding" in lines
    assert any("transcription" in line and "renews within" in line
               for line in lines)
    assert cli.json("status")["waiting"] == 1


def test_c10_why_for_people(cli, coordinator):
    assert cli("why").stdout == "nobody waits\n"
    grant = coordinator.request("asr")
    coordinator.ask("gemma", timeout_ms=60000)
    for words in ((), ("gemma",)):
        text = cli("why", *words).stdout
        assert re.match(
            rf"'gemma' \(lease \d+\) has waited for .*, place 1: held by "
            rf"'asr' \(lease {grant['lease']}\).*\n", text), text
        assert f"  on whom: 'asr' (lease {grant['lease']}), held" in text
        assert "  until when: " in text
        assert "  estimate: unknown\n" in text
    assert "does not wait: it has held gpu 0" in cli("why", "asr").stdout
    [waiter] = cli.json("why", "gemma")
    assert cli.json("why", str(waiter["lease"]))["service_id"] == "gemma"
    coordinator.release(grant)
    text = cli("why", str(grant["lease"])).stdout
    assert "it has ended, released after" in text
    assert cli("why", "nobody").stdout == (
        "'nobody' has no lease and waits for none\n")


def test_status_is_watched(cli, coordinator):
    process = cli.spawn("status", "--watch", "--json")
    lines = until(lambda: (cli.dir / "out").read_text().splitlines()[:2],
                  "it is shown")
    assert json.loads(lines[0])["waiting"] == 0
    coordinator.request("x")
    until(lambda: '"service_id":"x"' in (cli.dir / "out").read_text(),
          "the grant is shown")
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == -signal.SIGINT


# ---- The operator ----------------------------------------------------------


def test_c15_bypass_is_the_second_line_of_status(cli):
    assert cli("bypass", "on", "--for", "1h").returncode == 0
    assert cli("status").stdout.splitlines()[1].startswith(
        "bypass is on for 59 min")
    cli.json("request", "--service", "x")
    cli.json("request", "--service", "y", "--timeout", "0")
    assert cli("bypass", "off").returncode == 0
    assert "bypass" not in cli("status").stdout


def test_drain_and_undrain(cli):
    assert cli("drain").returncode == 0
    assert "draining: nothing new is granted" in cli("status").stdout
    done = cli("request", "--service", "x", "--timeout", "0")
    assert done.returncode == 3
    assert "gpucoord undrain" in done.stderr
    assert cli("undrain").returncode == 0
    cli.json("request", "--service", "x")


def test_drain_of_one_device(cli):
    assert cli("drain", "--device", "0").returncode == 0
    assert "drained" in cli("status").stdout
    assert cli("request", "--service", "x", "--timeout", "0").returncode == 3
    assert cli("undrain", "--device", "0").returncode == 0
    cli.json("request", "--service", "x")
    assert cli("drain", "--device", "7").returncode == 2
    assert cli("drain", "--device", "0", "--stop").returncode == 2


def test_a8_drain_and_stop_waits_for_holders(cli, coordinator):
    grant = coordinator.request("x")
    assert cli("drain", "--stop").returncode == 0
    assert coordinator.process.poll() is None
    coordinator.release(grant)
    assert coordinator.process.wait(LIMIT_S) == 0


def test_revoke_by_service(cli, coordinator):
    coordinator.request("x")
    done = cli("revoke", "x")
    assert done.returncode == 0, done.stderr
    assert holders(coordinator) == []


# ---- Documentation ---------------------------------------------------------


def commands():
    """Return the program's commands, from `help`."""
    done = subprocess.run([BINARY, "help"], capture_output=True, text=True,
                          check=True)
    return re.findall(r"^  ([a-z-]+) ", done.stdout, re.MULTILINE)


def options_of(command):
    done = subprocess.run([BINARY, command, "--help"], capture_output=True,
                          text=True, check=True)
    return set(re.findall(r"^ +--([a-z-]+)", done.stdout, re.MULTILINE))


def man_options():
    """Return the options of each command in the man page; `run`'s are those
    of `request` too where that says so."""
    page = (ROOT / "docs/gpucoord.1.scd").read_text()
    body = page.split("\n# COMMANDS\n")[1].split("\n# ")[0]
    found = {}
    for section in body.split("\n## ")[1:]:
        heads, _, text = section.partition("\n")
        names = re.findall(r"^\*--.*$", text, re.MULTILINE)
        options = set(re.findall(r"\*--([a-z-]+)\*", "\n".join(names)))
        for command in heads.split(", "):
            found[command] = options
    return found


# Sections that two commands share name what only one of them has.
ONLY = {"simulate": {"config"}, "replay": {"speed"}, "drain": {"stop"}}
SHARED = ({"simulate", "replay"}, {"drain", "undrain"})


def test_man_page_has_every_command_and_option():
    documented = man_options()
    assert set(documented) == set(commands())
    for command in set(documented) - {"version", "help"}:
        expected = set(documented[command])
        for group in SHARED:
            if command in group:
                for other in group - {command}:
                    expected -= ONLY.get(other, set())
        assert options_of(command) - {"help"} == expected, command


def test_completion_offers_commands_and_options():
    """Asked of the program itself, so that it cannot fall behind."""
    script = """
        PATH={bin}:$PATH
        source {root}/packaging/gpucoord.bash
        complete_words()
        {{
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _gpucoord gpucoord "${{@: -1}}" "${{@: -2:1}}" 2>/dev/null
            echo "${{COMPREPLY[*]}}"
        }}
        complete_words gpucoord rel
        complete_words gpucoord run --tt
        complete_words gpucoord run --on-lost s
        complete_words gpucoord bypass o
    """.format(bin=pathlib.Path(BINARY).resolve().parent, root=ROOT)
    done = subprocess.run(["bash", "-c", script], capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines() == ["release", "--ttl", "stop", "on off"]
