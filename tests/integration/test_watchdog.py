"""The watchdog and its restarts (B8), and kill -9 of the coordinator at each
rung: nobody is restarted twice, nobody stays frozen."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, LIMIT_S, until
from test_ladder import (DEAF, MILD, fixture_spawn, hold,  # noqa: F401
                         ran, settings, state)


def is_ended(one, lease):
    return one.lease(lease)["state"] == "ended"


def test_b8_a_restart_that_is_repeated_is_put_off(make, spawn, tmp_path):
    """The second one waits at least as long as the back-off says: its line in
    the log comes after that of the first, and each lease has its own."""
    one = make(extra=settings(tmp_path / "one", "term, restart")).start()
    leases = []
    for _ in range(2):
        holder = spawn(MILD)
        leases.append(hold(one, holder)["lease"])
        one.admin("revoke", lease=leases[-1])
        assert holder.wait(LIMIT_S) == -signal.SIGTERM
        until(lambda: is_ended(one, leases[-1]), "ended")
    until(lambda: ran(one) == 2, "both ran")
    steps = [until(lambda lease=lease: [
        step for step in one.lease(lease)["walk"]
        if step["rung"] == "restart" and step["outcome"] == "ok"],
        "restarted")[0] for lease in leases]
    assert steps[0]["outcome"] == steps[1]["outcome"] == "ok"
    assert steps[1]["took_ms"] > steps[0]["took_ms"]


def test_b8_what_a_restart_prints_is_in_the_log(make, spawn, tmp_path):
    extra = settings(tmp_path / "one", "restart").replace(
        "open(", "print('hello from the hook'); open(")
    one = make(extra=extra).start()
    lease = hold(one, spawn(MILD))["lease"]
    one.admin("revoke", lease=lease)
    until(lambda: "hello from the hook" in one.log.read_text(), "logged")


def test_b8_a_restart_that_takes_its_time_keeps_nobody_waiting(
        make, spawn, tmp_path):
    """The loop goes on; and the operator is told, with the walk so far."""
    told = tmp_path / "told"
    end = tmp_path / "end"
    extra = settings(tmp_path / "one", "term, restart").splitlines()
    extra[3] = (f"    restart: [/bin/sh, -c, 'while [ ! -e {end} ]; do "
                f"sleep 0.01; done; echo ran >>{tmp_path}/one/ran']")
    extra.append(f"notify: [/bin/sh, -c, 'echo \"$GPUCOORD_EVENT: $0\" "
                 f">>{told}']")
    one = make(extra="\n".join(extra) + "\n").start()
    holder = spawn(MILD)
    lease = hold(one, holder)["lease"]
    one.admin("revoke", lease=lease)
    until(lambda: "restart" in [step["rung"]
                                for step in one.lease(lease)["walk"]], "begun")
    assert one.release(one.request("other")).status == 200
    assert one.lease(lease)["walk"][-1]["outcome"] == "running"
    assert ran(one) == 0
    end.touch()
    until(lambda: one.lease(lease)["walk"][-1]["outcome"] == "ok", "it has run")
    lines = until(lambda: told.exists() and len(
        told.read_text().splitlines()) == 2 and told.read_text(), "told")
    assert "revocation: lease 1 of 'whisper' was taken back" in lines
    assert "restart: 'whisper' is restarted, lease 1 was taken back" in lines


def test_b8_the_operator_is_told_once_an_hour(make, spawn, tmp_path):
    told = tmp_path / "told"
    notify = (f"notify: [{sys.executable}, -c, \"import sys; "
              f"open('{told}', 'a').write(sys.argv[-1] + chr(10))\"]\n")
    one = make(extra=settings(tmp_path / "one", "term", notify)).start()
    for _ in range(2):
        holder = spawn(MILD)
        lease = hold(one, holder)["lease"]
        one.admin("revoke", lease=lease)
        until(lambda: is_ended(one, lease), "ended")  # noqa: B023
    lines = until(lambda: told.exists() and told.read_text().splitlines(),
                  "told")
    assert len(lines) == 1
    assert lines[0].startswith("lease 1 of 'whisper' was taken back: an "
                               "operator revoked it")
    assert one.log.read_text().count("of 'whisper' was taken back") == 2


def strangers(one, names):
    """Let a program of each of @names use the card until all were seen."""
    users = []
    for name in names:
        program = one.dir / name
        os.link(one.dir / "program", program)
        users.append(subprocess.Popen([program, "600"]))
        (one.gpu / str(users[-1].pid)).write_text("10\n")
    try:
        until(lambda: all(f"({name})" in one.log.read_text()
                          for name in names), "they were told of")
    finally:
        for user in users:
            user.kill()
            user.wait()
            (one.gpu / str(user.pid)).unlink()


def test_b8_a_crowd_of_strangers_keeps_nobody_from_a_restart(make, spawn,
                                                            tmp_path):
    """Anybody may use the GPU by any name; each is told of."""
    extra = settings(tmp_path / "one", "restart", "notify: ['true']\n")
    one = make(extra=extra, verify="").start()
    shutil.copy(shutil.which("sleep"), one.dir / "program")
    for first in range(0, 300, 100):
        strangers(one, [f"stranger-{i}" for i in range(first, first + 100)])
    assert "too much is told" in one.log.read_text()
    lease = hold(one, spawn(MILD))["lease"]
    one.admin("revoke", lease=lease)
    until(lambda: ran(one) == 1, "restarted")


@pytest.mark.parametrize("rung", ["ask", "term", "kill", "restart"])
def test_b8_no_restart_twice_over_a_kill_of_the_coordinator(
        make, spawn, tmp_path, rung):
    extra = settings(tmp_path / "one",
                     "ask, {term: 1s}, kill, restart", "settle_ms: 1s\n")
    one = make(extra=extra).start()
    holder = spawn(DEAF)
    lease = hold(one, holder)["lease"]
    if rung == "kill":  # It dies of it, which ends the rung at once.
        holder.send_signal(signal.SIGSTOP)
    chat = one.ask("gemma", priority=0)

    def is_there():
        if rung == "restart":
            return ran(one) == 1
        return chat.is_over or rung in [
            step["rung"] for step in one.lease(lease)["walk"]]
    until(is_there, f"on '{rung}'")
    one.kill()
    one.start()
    until(lambda: one.lease(lease).status == 404 or is_ended(one, lease),
          "ended")
    if chat.is_over and chat.answer is not None:
        one.release(chat.answer)
    assert one.request("later").status == 200
    until(lambda: ran(one) >= 1, "restarted")
    assert ran(one) == 1


FROZEN = "freeze, term"


def freeze(one, holder, **fields):
    lease = hold(one, holder, **fields)["lease"]
    assert one.admin("pause", lease=lease).status == 200
    until(lambda: one.lease(lease)["state"] == "paused", "paused")
    assert state(holder) == "T"
    assert one.lease(lease)["frozen"]
    return lease


def thaw(one, *arguments):
    return subprocess.run([BINARY, "thaw", "--dir", str(one.dir), *arguments],
                          capture_output=True, text=True, check=False,
                          timeout=60)


def test_c15_an_operator_freezes_and_resumes(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    one.admin("resume", lease=lease)
    until(lambda: one.lease(lease)["state"] == "held"
          and not one.lease(lease)["frozen"], "resumed")
    assert state(holder) != "T"
    walk = one.lease(lease)["walk"]
    assert [(step["rung"], step["undo"]) for step in walk] == [
        ("freeze", False), ("freeze", True)]


def test_c15_what_is_frozen_stands_beside_the_store(make, spawn, tmp_path,
                                                    monkeypatch):
    """Also where the command line names that without a directory."""
    one = make(extra=settings(tmp_path / "one", FROZEN))
    monkeypatch.setattr("conftest.BINARY", os.path.abspath(BINARY))
    monkeypatch.chdir(one.dir)
    one.start("--store", "short.db")
    lease = freeze(one, spawn(MILD))
    assert (one.dir / "frozen.journal").exists()
    one.admin("resume", lease=lease)
    until(lambda: not one.lease(lease)["frozen"], "resumed")


def test_c15_what_is_thawed_by_hand_is_seen(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    assert "1 process thawed" in thaw(one).stdout
    assert state(holder) != "T"
    until(lambda: one.lease(lease)["state"] == "held"
          and not one.lease(lease)["frozen"], "held again")


@pytest.mark.parametrize("how", ["it answers", "its configuration",
                                 "its directory"])
def test_c15_thaw_finds_the_journal_by_itself(make, spawn, tmp_path, how):
    """Nobody who needs it has the time to look for a directory."""
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    freeze(one, holder)
    env = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path / "no"),
           "STATE_DIRECTORY": str(tmp_path / "no"),
           "GPUCOORD_URL": f"unix://{one.socket}"}
    if how != "it answers":
        one.kill()
    if how == "its configuration":
        (tmp_path / "gpucoord").mkdir()
        one.config.rename(tmp_path / "gpucoord/gpucoord.yaml")
        env["XDG_CONFIG_HOME"] = str(tmp_path)
    elif how == "its directory":
        env["STATE_DIRECTORY"] = str(one.dir)
    done = subprocess.run([BINARY, "thaw"], capture_output=True, text=True,
                          check=True, timeout=60, env=env)
    assert "1 process thawed" in done.stdout, done.stderr
    assert state(holder) != "T"
    again = subprocess.run([BINARY, "thaw"], capture_output=True, text=True,
                           check=True, timeout=60, env=env)
    assert again.stdout == "nothing is frozen\n"


def test_c15_who_dies_frozen_has_ended(make, spawn, tmp_path):
    """Its TTL stands still, its death does not."""
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    holder.kill()
    holder.wait()
    until(lambda: is_ended(one, lease), "ended")
    assert one.lease(lease)["reason"] == "gone"
    assert "nothing is frozen" in until(
        lambda: thaw(one).stdout.startswith("nothing") and thaw(one).stdout,
        "the journal is empty")
    assert one.request("next").status == 200


def test_c15_frozen_over_a_kill_of_the_coordinator(make, spawn, tmp_path):
    """The row and the journal say so: a resume lets it go on."""
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    one.kill()
    one.start()
    assert state(holder) == "T"
    assert one.lease(lease)["frozen"]
    one.admin("resume", lease=lease)
    until(lambda: state(holder) != "T", "it goes on")
    until(lambda: not one.lease(lease)["frozen"], "and the row says so")


def test_c15_thawed_while_no_coordinator_ran(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    one.kill()
    assert "1 process thawed" in thaw(one).stdout
    one.start()
    until(lambda: one.lease(lease)["state"] == "held"
          and not one.lease(lease)["frozen"], "held again")


def test_c15_frozen_and_forgotten_by_the_store(make, spawn, tmp_path):
    """Without its row nobody would ever resume it: it goes on at the start."""
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    freeze(one, holder)
    one.kill()
    for path in one.dir.glob("queue.db*"):
        path.unlink()
    one.start()
    until(lambda: state(holder) != "T", "it goes on")
    assert "nothing is frozen" in until(
        lambda: thaw(one).stdout.startswith("nothing") and thaw(one).stdout,
        "the journal is empty")


def test_c15_a_frozen_holder_that_is_revoked_ends(make, spawn, tmp_path):
    one = make(extra=settings(tmp_path / "one", FROZEN)).start()
    holder = spawn(MILD)
    lease = freeze(one, holder)
    one.admin("revoke", lease=lease)
    assert holder.wait(LIMIT_S) == -signal.SIGTERM
    until(lambda: is_ended(one, lease), "ended")
    assert "nothing is frozen" in until(
        lambda: thaw(one).stdout.startswith("nothing") and thaw(one).stdout,
        "the journal is empty")


def test_c1_the_operator_is_told_of_a_stranger_on_a_gpu(make, tmp_path):
    told = tmp_path / "told"
    notify = (f"notify: [{sys.executable}, -c, \"import os, sys; "
              f"open('{told}', 'a').write(os.environ['GPUCOORD_EVENT'] + "
              "': ' + sys.argv[-1] + chr(10))\"]\n")
    one = make(extra=notify, verify="").start()
    one.use_vram(900)
    lines = until(lambda: told.exists() and told.read_text().splitlines(),
                  "told")
    assert lines[0].startswith("rogue: pid ")
    assert "MiB of gpu 0 and belongs to no service" in lines[0]
    assert len(lines) == 1
