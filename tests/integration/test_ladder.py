"""The ladder, end to end: B8, C1, C3, C12, C15."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, LIMIT_S, problem, until

LADDER = """services:
  whisper:
    ladder: [{ladder}]
    restart: [{python}, -c, "open('{ran}', 'a').write('ran\\\\n')"]
defaults: {{pause_grace: 200ms, rung_grace: 1min}}
"""

DEAF = ("import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n")

MILD = "import time\nprint('ready', flush=True)\ntime.sleep(1000)\n"


def settings(directory, ladder, extra=""):
    return LADDER.format(ladder=ladder, python=sys.executable,
                         ran=directory / "ran") + extra


@pytest.fixture(name="spawn")
def fixture_spawn():
    """Start holders, in sessions of their own, that are ended afterwards."""
    started = []

    def start(program):
        process = subprocess.Popen([sys.executable, "-c", program],
                                   stdout=subprocess.PIPE,
                                   start_new_session=True)
        assert process.stdout.readline() == b"ready\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def hold(coordinator, process, **fields):
    """Let @process hold the GPU as 'whisper', and be what can be preempted."""
    answer = coordinator.request("whisper", watch_pid=process.pid,
                                 preemptible=True, priority=3, **fields)
    assert answer.status == 200, answer
    return answer


def ran(coordinator):
    path = coordinator.dir / "ran"
    return path.read_text().count("ran") if path.exists() else 0


def state(process):
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    return text[text.rindex(")") + 2]


def test_b8_term_ends_a_holder_that_does_not_answer(make, spawn, tmp_path):
    """Asked, then told to end; the chat has the GPU afterwards."""
    one = make(extra=settings(tmp_path / "one", "ask, term, kill")).start()
    holder = spawn(MILD)
    work = hold(one, holder)
    chat = one.ask("gemma", priority=0)
    assert chat.result().status == 200
    assert holder.wait(LIMIT_S) == -signal.SIGTERM
    assert one.lease(work["lease"])["state"] == "ended"


def test_b8_kill_ends_one_that_ignores_term(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", "ask, {term: 500ms}, kill")
               ).start()
    holder = spawn(DEAF)
    hold(one, holder)
    assert one.ask("gemma", priority=0).result().status == 200
    assert holder.wait(LIMIT_S) == -signal.SIGKILL


def test_b8_restart_runs_once_for_each_revocation(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one",
                              "ask, {term: 500ms}, kill, restart")
               ).start()
    holder = spawn(DEAF)
    hold(one, holder)
    grant = one.ask("gemma", priority=0).result()
    assert grant.status == 200
    assert holder.wait(LIMIT_S) == -signal.SIGKILL
    until(lambda: ran(one) == 1, "the command ran")
    one.release(grant)
    assert one.request("other").status == 200
    assert ran(one) == 1


def test_c10_the_walk_is_told_with_its_outcomes(make, spawn, tmp_path):
    """Whoever waits sees which rung the holder is on; afterwards how it went.
    """
    one = make(extra=settings(tmp_path / "one", "ask, {term: 5s}, kill")
               ).start()
    holder = spawn(DEAF)
    work = hold(one, holder)
    chat = one.ask("gemma", priority=0)
    lease = until(lambda: (one.lease(work["lease"])["rung"] == "term"
                           and one.lease(work["lease"]).json), "on 'term'")
    assert lease["state"] == "reclaiming"
    assert 0 < lease["rung_left_ms"] <= 5000
    assert [(step["rung"], step["outcome"]) for step in lease["walk"]] == [
        ("ask", "late"), ("term", "running")]
    assert lease["walk"][0]["reason"].startswith("no answer in")
    waiter = one.status()["waiters"][0]
    assert waiter["why"]["blocker"]["rung"] == "term"
    assert "asked to pause: no answer in" in waiter["why"]["text"]
    assert "next: 'kill' in" in waiter["why"]["text"]
    text = subprocess.run([BINARY, "why", "gemma"], capture_output=True,
                          env={"GPUCOORD_URL": f"unix://{one.socket}"},
                          text=True, check=True).stdout
    assert "TERM sent" in text
    holder.kill()
    assert chat.result().status == 200
    walk = until(lambda: (one.lease(work["lease"])["state"] == "ended"
                          and one.lease(work["lease"])["walk"]), "ended")
    assert walk[0]["outcome"] == "late"
    metrics = one.get("/metrics").text
    assert 'gpucoord_rungs_total{rung="ask",outcome="late"} 1' in metrics


def test_c15_observe_grants_all_and_says_what_it_let_pass(make):
    one = make(extra="mode: observe\n").start()
    assert one.request("a").status == 200
    assert one.request("b", priority=0).status == 200
    status = one.status()
    assert status["observing"]
    assert status["stats"]["prevented"] == 1
    assert status["stats"]["prevented_by"] == {"holder": 1}
    assert [lease["unchecked"] for lease in status["holders"]] == [
        False, True]
    assert "would have waited: holder" in one.log.read_text()
    text = subprocess.run([BINARY, "status"], capture_output=True, text=True,
                          env={"GPUCOORD_URL": f"unix://{one.socket}"},
                          check=True).stdout
    assert "observing only" in text and "1 would have waited" in text


def test_b8_an_overrun_ttl_starts_the_ladder(make, spawn, tmp_path):
    """The watchdog: who does not renew is not asked; unload, term and the
    rest follow."""
    one = make(extra=settings(tmp_path / "one",
                              "ask, unload, term, restart")).start()
    holder = spawn(MILD)
    work = hold(one, holder, ttl_ms=1000)
    assert holder.wait(LIMIT_S) == -signal.SIGTERM
    until(lambda: ran(one) == 1, "restarted")
    walk = until(lambda: (one.lease(work["lease"])["state"] == "ended"
                          and one.lease(work["lease"])["walk"]), "ended")
    assert [step["rung"] for step in walk] == ["unload", "term", "restart"]
    assert walk[0]["outcome"] == "skipped"
    assert walk[0]["reason"] == "no control stream is open"


SIGNALLED = """
import os, signal, subprocess, sys, time
BINARY = {binary!r}
def pause(number, frame):
    subprocess.run([BINARY, "ack", "paused"], check=True)
def resume(number, frame):  # It may be asked to pause again by now.
    subprocess.run([BINARY, "ack", "resumed"], check=False)
signal.signal(signal.SIGUSR1, pause)
signal.signal(signal.SIGUSR2, resume)
open({ready!r}, "w").close()
while not os.path.exists({stop!r}):
    time.sleep(0.01)
"""


def test_signals_pause_and_resume_a_program_under_run(make, tmp_path):
    """It answers by 'gpucoord ack', with nothing but its environment."""
    extra = ("services: {trainer: {signals: {pause: USR1, resume: USR2}}}\n"
             "defaults: {pause_grace: 8s}\n")
    one = make(extra=extra).start()
    stop = tmp_path / "stop"
    ready = tmp_path / "ready"
    program = SIGNALLED.format(binary=BINARY, stop=str(stop),
                               ready=str(ready))
    with subprocess.Popen(
            [BINARY, "run", "--service", "trainer", "--on-pause", "ask", "--",
             sys.executable, "-c", program],
            env={**os.environ, "GPUCOORD_URL": f"unix://{one.socket}"}) as run:
        until(ready.exists, "the program hears signals")
        lease = one.status()["holders"][0]["lease"]
        for _ in range(2):  # The second time its token is another.
            chat = one.ask("gemma", priority=0).result()
            assert chat.status == 200
            assert one.lease(lease)["state"] == "paused"
            one.release(chat)
            until(lambda: one.lease(lease)["state"] == "held", "resumed")
        stop.touch()
        assert run.wait(LIMIT_S) == 0


# ---- The checkpoint rung, on a stand-in for the driver ---------------------

STANDIN = pathlib.Path(BINARY).resolve().parents[2] / "tests/unit/control"

CUDA = """
import os, time
path = os.path.join(os.environ["STANDIN_CUDA"], f"state.{{os.getpid()}}")
with open(path + ".new", "w") as file:
    file.write("0\\n")
os.rename(path + ".new", path)
with open({steps!r}, "a") as file:
    while not os.path.exists({stop!r}):
        with open(path) as state:
            if state.read().strip() == "0":  # Else its CUDA calls would wait.
                file.write("step\\n")
                file.flush()
        time.sleep(0.01)
"""


def standin(directory):
    directory.mkdir(exist_ok=True)
    return {"LD_LIBRARY_PATH": str(STANDIN), "STANDIN_CUDA": str(directory)}


def states(directory):
    return [path.read_text().strip() for path in directory.glob("state.*")
            if path.suffix != ".new"]


def steps(directory):
    """Return what the training in @directory has written so far."""
    path = directory / "steps"
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def training(one, env, directory, on_pause):
    """A script nobody changed, which trains until there is a file "stop"."""
    program = CUDA.format(steps=str(directory / "steps"),
                          stop=str(directory / "stop"))
    with subprocess.Popen(
            [BINARY, "run", "--service", "train", "--on-pause", on_pause,
             "--vram", "100", "--", sys.executable, "-c", program],
            env={**os.environ, **env,
                 "GPUCOORD_URL": f"unix://{one.socket}"}) as run:
        until(lambda: steps(directory), "it trains")
        yield run


@pytest.mark.skipif(not (STANDIN / "libcuda.so.1").exists(),
                    reason="the stand-in for the driver is not built")
def test_a_training_script_nobody_changed_gives_way_to_a_chat(make, tmp_path):
    """C3: its VRAM goes to host RAM and back, and it goes on."""
    one = make(extra="host_ram_reserve: 0\ndefaults: {rung_grace: 1min}\n")
    env = standin(tmp_path / "cuda")
    one.start(env=env)
    with training(one, env, tmp_path, "checkpoint") as run:
        lease = one.status()["holders"][0]["lease"]
        chat = one.ask("gemma", priority=0).result()
        assert chat.status == 200
        paused = one.lease(lease).json
        assert (paused["state"], paused["checkpointed"]) == ("paused", True)
        assert states(tmp_path / "cuda") == ["2"]
        before = steps(tmp_path)
        one.release(chat)
        until(lambda: one.lease(lease)["state"] == "held"
              and not one.lease(lease)["checkpointed"], "restored")
        until(lambda: len(steps(tmp_path)) > len(before), "it goes on")
        (tmp_path / "stop").touch()
        assert run.wait(LIMIT_S) == 0


def test_checkpoint_where_it_cannot_work_fails_at_the_start(make):
    one = make().start()
    done = subprocess.run(
        [BINARY, "run", "--on-pause", "checkpoint", "--", "true"],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "GPUCOORD_URL": f"unix://{one.socket}"})
    if done.returncode == 0:
        pytest.skip("this machine has a driver that can")
    assert "no checkpoint can be made here" in done.stderr
    assert "found, checkpoint needs 570" in done.stderr


def test_a_ladder_is_taken_over_the_unix_socket_and_checked(coordinator):
    answer = coordinator.request("x", ladder=["term", "ask"])
    assert (answer.status, answer["field"]) == (422, "ladder")
    answer = coordinator.request("x", ladder=["ask", "restart"])
    assert (answer.status, answer["field"]) == (422, "ladder")
    assert coordinator.request("x", ladder=["ask", "term"]).status == 200


@pytest.mark.skipif(not (STANDIN / "libcuda.so.1").exists(),
                    reason="the stand-in for the driver is not built")
def test_a_checkpoint_that_no_host_ram_is_left_for_is_skipped(make, tmp_path):
    """The next rung is walked, and why says how much there is."""
    one = make(extra="host_ram_reserve: 16TiB\n")
    env = standin(tmp_path / "cuda")
    one.start(env=env)
    with training(one, env, tmp_path, "checkpoint,term") as run:
        lease = one.status()["holders"][0]["lease"]
        assert one.ask("gemma", priority=0).result().status == 200
        walk = one.lease(lease)["walk"]
        assert [(step["rung"], step["outcome"]) for step in walk][:1] == [
            ("checkpoint", "skipped")]
        assert "MiB" in walk[0]["reason"]
        assert run.wait(LIMIT_S) != 0


@pytest.mark.skipif(not (STANDIN / "libcuda.so.1").exists(),
                    reason="the stand-in for the driver is not built")
def test_checkpointed_over_a_kill_of_the_coordinator(make, tmp_path):
    """C3, C12: the row and the journal know; its resume restores it."""
    one = make(extra="host_ram_reserve: 0\n")
    env = standin(tmp_path / "cuda")
    one.start(env=env)
    with training(one, env, tmp_path, "checkpoint") as run:
        lease = one.status()["holders"][0]["lease"]
        assert one.admin("pause", lease=lease).status == 200
        until(lambda: one.lease(lease)["state"] == "paused", "paused")
        one.kill()
        one.start(env=env)
        assert states(tmp_path / "cuda") == ["2"]
        assert one.lease(lease)["checkpointed"]
        one.admin("resume", lease=lease)
        until(lambda: states(tmp_path / "cuda") == ["0"], "restored")
        until(lambda: not one.lease(lease)["checkpointed"], "the row says so")
        (tmp_path / "stop").touch()
        assert run.wait(LIMIT_S) == 0


@pytest.mark.parametrize("between", ["nothing", "a reload", "a restart"])
def test_a_ladder_that_a_request_brought_keeps_its_deadlines(
        make, spawn, tmp_path, between):
    """Its own, not those of another service's ladder of the same rungs."""
    one = make(extra=settings(tmp_path / "one", "ask"))
    text = one.config.read_text().replace(
        "services:\n", "services:\n  other: {ladder: [{term: 10m}, kill]}\n")
    text = text.replace("rung_grace: 1min", "rung_grace: 2s")
    one.config.write_text(text)
    one.start()
    holder = spawn(DEAF)
    work = hold(one, holder, ladder=["term", "kill"])
    if between == "a restart":
        one.kill()
        one.start()
    elif between == "a reload":
        one.process.send_signal(signal.SIGHUP)
        until(lambda: "read again" in one.log.read_text(), "read again")
    one.admin("revoke", lease=work["lease"])
    assert holder.wait(60) == -signal.SIGKILL
    walk = one.lease(work["lease"])["walk"]
    assert [step["rung"] for step in walk] == ["term", "kill"]


@pytest.mark.long
def test_a_reload_changes_ladders(make, spawn, tmp_path):
    """New leases have the new one; what a lease came with stays."""
    one = make(extra=settings(tmp_path / "one", "ask")).start()
    old = hold(one, spawn(MILD), vram_mib=100)
    holder = spawn(MILD)
    one.configure(extra=settings(tmp_path / "one", "term, kill"))
    one.process.send_signal(signal.SIGHUP)
    until(lambda: "read again" in one.log.read_text(), "read again")
    new = hold(one, holder, vram_mib=100)
    one.admin("revoke", lease=new["lease"])
    assert holder.wait(LIMIT_S) == -signal.SIGTERM
    assert one.lease(old["lease"])["state"] == "held"
    one.admin("revoke", lease=old["lease"])
    until(lambda: one.lease(old["lease"])["state"] == "ended", "ended")
    assert one.lease(old["lease"])["walk"] == []
