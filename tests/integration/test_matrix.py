"""Every kind of holder, on every kind of card, under every ladder.

Each cell is a coordinator of its own, with a card (cards.py), a holder that
behaves well or badly (holders.py), and a chat that needs the room.  What must
hold in each:

  - no grant while the VRAM is not free: what is truly used, read when the grant
    is read, leaves the room that was granted (C1, C4; guarantees 1 and 10);
  - nobody waits for ever: the chat is answered within its own timeout, and once
    all processes of the holder have died the card is granted again (C2, C3);
  - every victim is resumed or told (C4, B8).

What was seen of each cell is printed as a table, also of those that are skipped.
"""

import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

import cards
import conftest
import holders
from conftest import LIMIT_S, until

CHAT_MIB = 16000
ASK_S = 5  # The grace of a pause; good holders obey at once,
RUNG_S = 3  # and other rungs have this: a busy machine is slow to kill.
TIMEOUT_S = 18  # What a chat waits: all rungs and the settle time fit in.
LINGERS_S = 0.1  # What the chat frees only after its release.
AT_ONCE = 56

BAD = ["late", "hangs", "stops", "deaf", "lies"]  # But within kill's reach.

LADDERS = ["ask", "ask, term, kill", "ask, restart", "ask, freeze, term",
           "ask, unload", "term, kill, restart", "checkpoint, kill"]

# Played many at a time, and so in one process.
pytestmark = [pytest.mark.xdist_group("matrix"), pytest.mark.long]

BUILD = pathlib.Path(os.environ.get(
    "GPUCOORD_BUILD", pathlib.Path(conftest.BINARY).resolve().parents[2]))

CONFIG = """\
listen: null
socket: {home}/run/gpucoord.sock
store: sqlite:{home}/queue.db
gpus: {gpus}
settle_ms: 500ms
defaults: {{pause_grace: {grace}s}}
services:
  worker:
    ladder: [{ladder}]
"""
RESTART = "    restart: [/bin/sh, -c, 'echo restarted >>{home}/restarts']\n"


def steps(ladder):
    """Return the ladder as the configuration has it: with short graces."""
    return ", ".join(
        step if step in ("ask", "restart") else f"{{{step}: {RUNG_S}s}}"
        for step in ladder.split(", "))


REFUSALS = {}  # Why a configuration is refused, by kind of card and ladder.


def refusal(config, kind, ladder):
    """Say why @config is refused, None if it is not; only the first of those
    that differ in nothing but their paths is asked for."""
    if (kind, ladder) not in REFUSALS:
        done = subprocess.run(
            [conftest.BINARY, "check-config", str(config)],
            capture_output=True, text=True, check=False)
        REFUSALS[kind, ladder] = None if done.returncode == 0 else (
            done.stdout + done.stderr).splitlines()[0].rpartition(": ")[2]
    return REFUSALS[kind, ladder]


class Chat(threading.Thread):
    """Somebody who needs the room, with a process that uses it."""

    def __init__(self, cell, priority):
        super().__init__(daemon=True)
        self.cell = cell
        self.priority = priority
        self.process = subprocess.Popen(["sleep", "1000"])
        self.answer = None
        self.others = None
        self.seconds = None
        self.start()

    def run(self):
        began = time.monotonic()
        self.answer = self.cell.daemon.request(
            "chat", priority=self.priority, vram_mib=CHAT_MIB,
            timeout_ms=TIMEOUT_S * 1000, watch_pid=self.process.pid)
        self.others = self.cell.card.users()
        self.seconds = time.monotonic() - began
        if self.is_granted:
            self.use(CHAT_MIB)

    @property
    def is_granted(self):
        """Say whether it has the GPU."""
        return self.answer.status == 200

    def use(self, mib):
        """Use so much of the card."""
        self.cell.card.use(self.process.pid, mib)

    def result(self):
        """Wait for the answer, and hold it against what is promised."""
        self.join(LIMIT_S)
        assert self.answer is not None, "the chat was never answered"
        assert self.answer.status in (200, 503), self.answer
        if not self.is_granted:
            assert conftest.problem(self.answer) == "wait-timeout"
            assert self.answer["detail"]
            return self
        if self.answer["guarantee"] != "advisory":
            used = sum(self.others.values())
            assert used + CHAT_MIB <= self.cell.card.capacity_mib, (
                f"granted while {self.others} MiB were used by others")
        return self

    def release(self):
        """Give the GPU back, and the VRAM a moment later."""
        assert self.cell.daemon.release(self.answer.json).status == 200
        time.sleep(LINGERS_S)
        self.use(0)

    def end(self):
        """End its process."""
        self.process.kill()
        self.process.wait()


class Cell:
    """One cell of the matrix."""

    def __init__(self, kind, ladder, behaviour):
        self.kind = kind
        self.ladder = ladder
        self.behaviour = behaviour
        self.home = None
        self.card = None
        self.daemon = None
        self.holder = None
        self.lease = None
        self.chats = []
        self.skipped = None
        self.failed = None
        self.seen = []

    def configure(self):
        """Write the configuration; say why it is refused, None if not."""
        text = CONFIG.format(home=self.home, gpus=self.card.config(),
                             grace=ASK_S, ladder=steps(self.ladder))
        if "restart" in self.ladder:
            text += RESTART.format(home=self.home)
        self.daemon = conftest.Coordinator(self.home)
        self.daemon.config.write_text(text)
        return refusal(self.daemon.config, self.kind, self.ladder)

    def said(self, what):
        """Return what the holder has said of that name, in order."""
        lines = (self.home / "said").read_text().splitlines()
        return [line for line in map(json.loads, lines)
                if line["what"] == what]

    def view(self):
        """Return the holder's lease."""
        return self.daemon.lease(self.lease).json

    def start(self):
        """Start the coordinator and the holder, and wait until it works."""
        self.daemon.start(env=self.card.environment())
        with open(self.home / "said", "wb") as out:
            self.holder = subprocess.Popen(
                ["/usr/bin/python3", "-S", "-E", holders.__file__,
                 self.daemon.socket, str(self.card.held), "worker",
                 self.behaviour], stdout=out,
                stderr=open(self.home / "complaints", "wb"))
        if self.card.has_cuda and "checkpoint" in self.ladder:
            self.card.has_used_cuda(self.holder.pid)
        until(lambda: self.said("held") or self.holder.poll() is not None,
             "the holder has the GPU")
        assert self.holder.poll() is None, (
            (self.home / "complaints").read_text())
        self.lease = self.said("held")[0]["lease"]
        until(lambda: self.daemon.status()["devices"][0]["used_mib"]
             >= holders.CHARGED_MIB, "its VRAM is measured")

    def ask(self):
        """Let a chat ask, and return its answer."""
        is_equal = self.behaviour == "dies held"
        chat = Chat(self, 2 if is_equal else 0)
        self.chats.append(chat)
        if is_equal:
            until(lambda: self.daemon.status()["waiting"] == 1, "it waits")
            self.holder.kill()
        return chat.result()

    def is_ended(self):
        """Say whether the holder's lease has ended, for a reason."""
        view = self.view()
        return view["state"] == "ended" and view["reason"]

    def settle(self, was_granted):
        """Wait until the victim has been resumed or told; say which."""
        def find():
            if self.said("resume") and self.behaviour != "dies resuming":
                return "resumed"
            if self.is_ended():
                return f"ended: {self.view()['reason']}"
            if not was_granted and not self.said("pause"):
                return "holds on"
            return None
        fate = until(find, f"the victim is resumed or told: {self.view()}")
        if fate == "resumed":
            others = self.said("resume")[0]["others_mib"]
            assert others + holders.CHARGED_MIB <= self.card.capacity_mib, (
                f"resumed while {others} MiB were used by others")
        return fate

    def restarts(self):
        """Return how often the service was restarted."""
        path = self.home / "restarts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def end_holders(self):
        """Kill the holder and what it has left behind."""
        chats = {chat.process.pid for chat in self.chats}
        for pid in self.card.users().keys() - chats:
            os.kill(pid, signal.SIGKILL)
        if self.holder is not None and self.holder.poll() is None:
            self.holder.kill()
            self.holder.wait()

    def play(self):
        """The scene: a holder works, a chat comes, and goes."""
        self.start()
        chat = self.ask()
        state = f"{chat.answer['guarantee']}" if chat.is_granted else "503"
        self.seen.append(f"{state} after {chat.seconds:.1f} s")
        if chat.is_granted:
            if self.behaviour == "dies paused":
                self.holder.kill()
                self.holder.wait()
            chat.release()
        fate = self.settle(chat.is_granted)
        self.seen.append(fate)
        if "restart" in self.ladder:
            if fate.startswith("ended: ") and "pause" in fate:
                until(self.restarts, "the service is restarted")
            assert self.restarts() <= (fate != "ended: gone"), (
                "it was restarted without, or more than once in, a revocation")
            self.seen.append(f"{self.restarts()} restarts")
        self.end_holders()
        last = Chat(self, 0)
        self.chats.append(last)
        assert last.result().is_granted, (
            f"the card is not granted again: {last.answer}")
        self.expect(chat, fate)
        assert self.daemon.process.poll() is None, "the coordinator has died"

    def expect(self, chat, fate):
        """What is more than the three promises: that the ladder works."""
        rungs = self.ladder.split(", ")
        good = ["obeys", "slow"]
        if self.card.has_list:
            good.append("greedy")  # Else its excess is nobody's.
        has_acked = [ack for ack in self.said("acked") if ack["status"] == 200]
        if self.behaviour in good and rungs[0] == "ask" and has_acked:
            assert chat.is_granted and fate == "resumed", (
                f"'{self.behaviour}' got {self.seen}")
        if "kill" in rungs and self.behaviour in [*BAD, *good]:
            assert chat.is_granted, f"'kill' freed nothing: {self.seen}"

    def run(self, keeper, home):
        """Play in the new directory @home, and note what happened."""
        self.home = home
        self.home.mkdir()
        self.card = self.kind(self.home, BUILD)
        self.skipped = self.card.why_not or self.configure()
        if self.skipped is not None:
            shutil.rmtree(self.home)
            return
        if self.card.has_kernel_files or "checkpoint" in self.ladder:
            keeper.add(self.card)
        try:
            self.play()
        except Exception as error:  # Of any kind: it is this cell's outcome.
            lines = str(error).splitlines() or [""]
            self.failed = f"{type(error).__name__}: {lines[0]}"
        finally:
            self.end_holders()
            for chat in self.chats:
                chat.end()
            self.daemon.end()
            keeper.remove(self.card)
        if self.daemon.process is not None and self.daemon.process.returncode:
            self.failed = self.failed or "the coordinator failed at its end"
        if self.failed is None:
            shutil.rmtree(self.home)
        else:
            self.failed += f"; see {self.home}"

    def row(self):
        """Return a line of the table."""
        outcome = ("; ".join(self.seen) if self.failed is None
                   and self.skipped is None else f"skipped: {self.skipped}"
                   if self.skipped else f"FAILED: {self.failed}")
        return (f"{self.kind.kind:<13} {self.behaviour:<13} "
                f"[{self.ladder + ']':<20} {outcome}")


CELLS = [Cell(kind, ladder, behaviour) for kind in cards.KINDS
         for behaviour in holders.BEHAVIOURS for ladder in LADDERS]


@pytest.fixture(scope="module", name="matrix")
def play_all(request, tmp_path_factory):
    """Play the cells asked for, many at a time."""
    asked = [item.callspec.params["cell"] for item in request.session.items
             if "cell" in getattr(item, "fixturenames", ())]
    cells = list(asked or CELLS)
    random.Random(1).shuffle(cells)  # Else those that wait are side by side.
    base = tmp_path_factory.mktemp("matrix")
    keeper = cards.Keeper()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [
                pool.submit(cell.run, keeper, base / f"{os.getpid()}.{number}")
                for number, cell in enumerate(cells)]:
            future.result()
    keeper.close()
    return time.monotonic() - began


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: (
    f"{cell.kind.kind}-{cell.behaviour}-{cell.ladder}"))
def test_no_grant_before_the_vram_is_free_and_nobody_is_forgotten(
        matrix, cell):
    del matrix
    if cell.skipped is not None:
        pytest.skip(cell.skipped)
    assert cell.failed is None, cell.failed


@pytest.mark.parametrize("rung", ["term", "kill"])
def test_a_checkpoint_that_hangs_keeps_nobody_from_being_ended(tmp_path, rung):
    """The issue's own words: each call of libcuda can fail or hang.  What takes
    the checkpoint back then hangs, too, for longer than the next rung has."""
    cell = Cell(cards.NvidiaThatHangs, f"checkpoint, {rung}", "hangs")
    keeper = cards.Keeper()
    cell.run(keeper, tmp_path / f"{os.getpid()}.0")
    keeper.close()
    assert cell.failed is None, cell.row()
    assert cell.chats[0].is_granted, cell.row()
    assert cell.seen[1] == "ended: pause_late", cell.row()


class LateCell(Cell):
    """The one in which a checkpoint comes to its end after its time."""

    def play(self):
        self.start()
        chat = self.ask()
        assert chat.is_granted, chat.answer
        log = self.home / "log"
        until(lambda: f"lease {self.lease} of 'worker': checkpoint: "
              in log.read_text(), "it is known what came of the checkpoint")
        used = self.card.users()
        assert sum(used.values()) <= self.card.capacity_mib, used
        assert (self.cuda_state(), self.is_ended()) == (
            cards.CHECKPOINTED, "pause_late")

    def cuda_state(self):
        """Return how the driver has the holder."""
        path = self.card.cuda / f"state.{self.holder.pid}"
        return path.read_text().strip()


def test_a_checkpoint_that_comes_late_takes_no_vram_back(tmp_path):
    """C1: the room that it has made is the chat's; the holder stays in host
    memory."""
    cell = LateCell(cards.NvidiaThatIsLate, "checkpoint", "hangs")
    keeper = cards.Keeper()
    cell.run(keeper, tmp_path / f"{os.getpid()}.0")
    keeper.close()
    assert cell.skipped is None, cell.row()
    assert cell.failed is None, cell.row()


def test_the_matrix_is_printed(matrix, record_property):
    """Guarantee 18: what was seen can be read, and something was."""
    skipped = sum(cell.skipped is not None for cell in CELLS)
    record_property(conftest.TABLE, "\n".join([
        f"{'card':<13} {'holder':<13} {'ladder':<21} the chat; the holder",
        *(cell.row() for cell in CELLS),
        f"{len(CELLS)} cells, {skipped} skipped, {matrix:.0f} s"]))
    assert skipped < len(CELLS)
