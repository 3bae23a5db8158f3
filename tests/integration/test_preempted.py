"""What a process computes is the same, preempted ten times or never (B5, C2).

Its state lies in VRAM, which each chat takes away by a checkpoint.  With
GPUCOORD_TEST_GPU=1 (`script/test --gpu`) the card and the driver are real,
else both are stand-ins, and the "VRAM" is memory that is only touched while
the driver says that the process runs.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from conftest import BINARY, until
from test_ladder import STANDIN, standin

IS_REAL = os.environ.get("GPUCOORD_TEST_GPU") == "1"
TIMES = 10
LONG_S = 120  # A real driver takes its time.

WORKER = """
import ctypes, hashlib, os, pathlib, sys, time

HOME = pathlib.Path(sys.argv[1])
SIZE = 64 << 20
STEPS = 20
TIMES = int(sys.argv[2])


class Card:
    # CUDA's driver API; the suffixes are those of 3.2 and 4.0.
    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.at = ctypes.c_uint64()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
        self.call("cuMemAlloc_v2", ctypes.byref(self.at),
                  ctypes.c_size_t(SIZE))
        self.call("cuMemsetD8_v2", self.at, ctypes.c_ubyte(7),
                  ctypes.c_size_t(SIZE))

    def call(self, name, *arguments):
        code = getattr(self.cuda, name)(*arguments)
        if code != 0:
            raise SystemExit(f"{name} returned {code}")

    def read(self):
        data = ctypes.create_string_buffer(SIZE)
        self.call("cuMemcpyDtoH_v2", data, self.at, ctypes.c_size_t(SIZE))
        return bytearray(data.raw)

    def write(self, data):
        data = (ctypes.c_char * SIZE).from_buffer(data)
        self.call("cuMemcpyHtoD_v2", self.at, data, ctypes.c_size_t(SIZE))


class StandIn:
    def __init__(self):
        self.data = bytearray(b"\\7" * 4096)
        self.path = pathlib.Path(os.environ["STANDIN_CUDA"],
                                 f"state.{os.getpid()}")
        new = self.path.with_suffix(".new")
        new.write_text("0\\n")
        new.rename(self.path)

    def wait(self):
        while self.path.read_text().strip() != "0":  # As its calls would.
            time.sleep(0.002)

    def read(self):
        self.wait()
        return bytearray(self.data)

    def write(self, data):
        self.wait()
        self.data = bytearray(data)


card = Card() if sys.argv[3] == "real" else StandIn()
for turn in range(TIMES + 1):
    for step in range(STEPS):
        data = card.read()
        place = (turn * STEPS + step) * 97 % (len(data) - 32)
        data[place:place + 32] = hashlib.sha256(data).digest()
        card.write(data)
        if step == 0:
            (HOME / f"begun.{turn}").touch()
    while turn < TIMES and not (HOME / f"go.{turn}").exists():
        time.sleep(0.002)
print(hashlib.sha256(card.read()).hexdigest())
"""


def work(home, env, *before):
    """Start the worker in @home, behind the words @before."""
    home.mkdir()
    return subprocess.Popen(
        [*before, sys.executable, "-c", WORKER, str(home), str(TIMES),
         "real" if IS_REAL else "stand-in"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, **env})


@pytest.mark.skipif(not IS_REAL and not (STANDIN / "libcuda.so.1").exists(),
                    reason="the stand-in for the driver is not built")
def test_b5_the_result_is_the_same_preempted_ten_times_or_never(
        make, tmp_path):
    extra = "host_ram_reserve: 0\ndefaults: {rung_grace: 60s}\n"
    one = make(extra=extra, verify="" if IS_REAL else "verify: off\n")
    env = {} if IS_REAL else standin(tmp_path / "cuda")
    if IS_REAL:
        one.config.write_text("\n".join(
            "gpus: nvml" if line.startswith("gpus:") else line
            for line in one.config.read_text().splitlines()))
    one.start(env=env)
    env["GPUCOORD_URL"] = f"unix://{one.socket}"

    alone = work(tmp_path / "alone", env)
    for turn in range(TIMES):
        (tmp_path / f"alone/go.{turn}").touch()
    expected, _ = alone.communicate(timeout=LONG_S)
    assert alone.returncode == 0 and len(expected) == 65

    run = work(tmp_path / "often", env, BINARY, "run", "--service", "train",
               "--on-pause", "checkpoint", "--vram", "2GiB", "--")
    try:
        begun = pathlib.Path(tmp_path / "often")
        until(lambda: (begun / "begun.0").exists() or run.poll() is not None,
              "it computes", LONG_S)
        assert run.poll() is None, "no checkpoint can be made here"
        lease = one.status()["holders"][0]["lease"]
        for turn in range(TIMES):
            until((begun / f"begun.{turn}").exists, "it computes", LONG_S)
            chat = one.request("chat", priority=0, timeout_ms=LONG_S * 1000)
            assert chat.status == 200
            paused = one.lease(lease)
            assert (paused["state"], paused["checkpointed"]) == ("paused",
                                                                 True)
            (begun / f"go.{turn}").touch()
            one.release(chat)
            until(lambda: run.poll() is not None or (
                one.lease(lease)["state"] == "held"
                and not one.lease(lease)["checkpointed"]), "restored", LONG_S)
        found, _ = run.communicate(timeout=LONG_S)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 0
    assert found == expected
