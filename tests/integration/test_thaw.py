"""C15: `gpucoord thaw` frees whatever is frozen, also without a daemon."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

PROGRAM = os.environ.get("GPUCOORD_BIN", "gpucoord")
BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat(pid):
    """Return the fields of /proc/PID/stat from the state on."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2:].split()


def line(text):
    """Return a line of the journal: @text with its checksum."""
    total = 2166136261
    for byte in text.encode():
        total = ((total ^ byte) * 16777619) % (1 << 32)
    return f"{text} {total:08x}\n"


def journal(directory, *entries):
    """Write a journal of this boot with @entries."""
    (directory / "frozen.journal").write_text(
        line(f"gpucoord-frozen-1 {BOOT}") + "".join(map(line, entries)))


def thaw(directory, *arguments):
    """Run the command on @directory."""
    return subprocess.run([PROGRAM, "thaw", "--dir", str(directory),
                           *arguments], capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.fixture(name="stopped")
def fixture_stopped():
    """A process that was stopped."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        process.send_signal(signal.SIGSTOP)
        while stat(process.pid)[0] != "T":
            time.sleep(0.001)
        yield process
        process.kill()


def test_a_stopped_process_goes_on_without_a_daemon(tmp_path, stopped):
    """A coordinator that was killed leaves nobody stopped for ever."""
    start = stat(stopped.pid)[19]
    journal(tmp_path, f"stopped {stopped.pid} {start} 42 0 transcription - -")
    done = thaw(tmp_path, "43")
    assert (done.returncode, stat(stopped.pid)[0]) == (0, "T")
    done = thaw(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lease 42 of transcription: 1 process thawed\n"
    assert stat(stopped.pid)[0] != "T"
    assert thaw(tmp_path).stdout == "nothing is frozen\n"


def test_another_process_with_the_number_is_left_alone(tmp_path, stopped):
    """What was frozen has gone; who has its number now is nobody's business."""
    start = int(stat(stopped.pid)[19]) + 1
    journal(tmp_path, f"stopped {stopped.pid} {start} 42 0 svc - -")
    assert thaw(tmp_path).returncode == 0
    assert stat(stopped.pid)[0] == "T"


def test_a_damaged_journal_is_told(tmp_path, stopped):
    """The lines that can be read are carried out, the others counted."""
    start = stat(stopped.pid)[19]
    journal(tmp_path, f"stopped {stopped.pid} {start} 42 0 svc - -")
    with open(tmp_path / "frozen.journal", "a", encoding="utf-8") as file:
        file.write("stopped 1 2 3")
    done = thaw(tmp_path)
    assert done.returncode == 1
    assert "1 lines of the journal" in done.stderr
    assert stat(stopped.pid)[0] != "T"


def test_what_has_no_room_stays_checkpointed(tmp_path, stopped):
    """A restore into too little VRAM can be the end of a process."""
    start = stat(stopped.pid)[19]
    journal(tmp_path, f"checkpoint {stopped.pid} {start} 42 4096 svc GPU-1 -")
    done = thaw(tmp_path, "--free", "4095MiB")
    assert done.returncode == 1
    assert "needs 4096 MiB, only 4095 are free" in done.stderr
    assert (tmp_path / "frozen.journal").exists()
