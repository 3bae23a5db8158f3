"""The ladder, end to end: B8, C1, C3, C12, C15."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, problem, until

LADDER = """services:
  whisper:
    ladder: [{ladder}]
    restart: [{python}, -c, "open('{ran}', 'a').write('ran\\\\n')"]
defaults: {{pause_grace: 200ms, rung_grace: 500ms}}
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
    assert holder.wait(10) == -signal.SIGTERM
    assert one.lease(work["lease"])["state"] == "ended"


def test_b8_kill_ends_one_that_ignores_term(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", "ask, term, kill")).start()
    holder = spawn(DEAF)
    hold(one, holder)
    assert one.ask("gemma", priority=0).result().status == 200
    assert holder.wait(10) == -signal.SIGKILL


def test_b8_restart_runs_once_for_each_revocation(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one",
                              "ask, term, kill, restart")).start()
    holder = spawn(DEAF)
    hold(one, holder)
    grant = one.ask("gemma", priority=0).result()
    assert grant.status == 200
    assert holder.wait(10) == -signal.SIGKILL
    until(lambda: ran(one) == 1, "the command ran")
    one.release(grant)
    assert one.request("other").status == 200
    assert ran(one) == 1
