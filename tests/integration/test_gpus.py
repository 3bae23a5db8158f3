"""Cards of each make, as the daemon shows and grants them (C12, B3).

What stands in for them: the library of tests/unit/device/standin_nvml.c for
NVIDIA's driver, and a directory that imitates /sys and /proc for AMD's.
"""

import ctypes
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import pytest

from conftest import until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import coordinator  # noqa: E402

GPUS = "gpus: {simulated: [24576], dir: "


@pytest.fixture(name="daemon")
def make_daemon():
    daemon = coordinator.Coordinator()
    yield daemon
    daemon.close()


def configure(daemon, gpus):
    """Name other cards in the configuration of @daemon."""
    lines = daemon.config.read_text().splitlines()
    daemon.config.write_text("\n".join(
        f"gpus: {gpus}" if line.startswith(GPUS) else line for line in lines))


def device(daemon):
    """Return what the status says of the first device."""
    return daemon.call("GET", "/gpu/status")[1]["devices"][0]


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, as the kernel's files are never half written.
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def amd_id(root):
    """Return the id of the card under @root: one coordinator a card, and the
    tests run beside each other."""
    return f"{zlib.crc32(bytes(root)):016x}"


def amd_card(root, used_mib):
    """Make a card like that of the kernel's driver under @root."""
    card = "class/drm/card0/device"
    put(root, f"{card}/uevent", "DRIVER=amdgpu\nPCI_ID=1002:744C\n"
                                "PCI_SLOT_NAME=0000:03:00.0\n")
    put(root, f"{card}/unique_id", f"{amd_id(root)}\n")
    put(root, f"{card}/mem_info_vram_total", f"{24560 << 20}\n")
    put(root, f"{card}/mem_info_vram_used", f"{used_mib << 20}\n")


def test_an_amd_card_is_measured_and_granted(daemon):
    root = daemon.home / "amd"
    amd_card(root, 20000)
    configure(daemon, f"{{amdgpu: {{sysfs: {root}, proc: {root}}}}}")
    daemon.start()
    until(lambda: device(daemon)["used_mib"] == 20000, "20000 MiB used")
    assert device(daemon)["source"] == "amdgpu"
    assert device(daemon)["uuid"] == f"GPU-{amd_id(root)}"
    body = {"service_id": "s", "vram_mib": 8000, "timeout_ms": 0}
    assert daemon.call("POST", "/gpu/request", body)[0] == 503
    amd_card(root, 1000)
    until(lambda: device(daemon)["used_mib"] == 1000, "1000 MiB used")
    assert daemon.call("POST", "/gpu/request", body)[0] == 200


def test_run_names_an_amd_card_as_rocm_does(daemon):
    root = daemon.home / "amd"
    amd_card(root, 0)
    configure(daemon, f"{{amdgpu: {{sysfs: {root}, proc: {root}}}}}")
    daemon.start()
    done = subprocess.run(
        [daemon.binary, "run", "--", "sh", "-c", "echo $ROCR_VISIBLE_DEVICES"],
        env=daemon.environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"GPU-{amd_id(root)}\n"


def nvidia(daemon, drive):
    """Drive the stand-in for NVIDIA's library; return its environment."""
    put(daemon.home, "drive", f"{drive}tag GPU-{daemon.home.name}\n")
    binary = pathlib.Path(daemon.binary).resolve()
    build = pathlib.Path(os.environ.get("GPUCOORD_BUILD", binary.parents[2]))
    library = build / "tests/unit/device"
    if not (library / "libnvidia-ml.so.1").exists():
        pytest.skip("this build has no stand-in for NVIDIA's library")
    return {"LD_LIBRARY_PATH": str(library),
            "STANDIN_NVML": str(daemon.home / "drive")}


@pytest.mark.parametrize("gpus", ["nvml", "auto"])
def test_an_nvidia_card_that_is_lost_comes_back(daemon, gpus):
    configure(daemon, gpus)
    daemon.start(nvidia(daemon, "used0 700\n"))
    until(lambda: device(daemon)["used_mib"] == 700, "700 MiB used")
    before = device(daemon)
    assert (before["source"], before["state"]) == ("nvml", "ok")
    nvidia(daemon, "memory 15\n")
    until(lambda: device(daemon)["state"] == "gone", "gone")
    body = {"service_id": "s", "timeout_ms": 0}
    assert daemon.call("POST", "/gpu/request", body)[0] == 503
    nvidia(daemon, "used0 300\n")
    until(lambda: device(daemon)["state"] == "ok", "back")
    until(lambda: device(daemon)["used_mib"] == 300, "300 MiB used")
    assert device(daemon)["uuid"] == before["uuid"]
    assert daemon.call("POST", "/gpu/request", body)[0] == 200


def hold(daemon):
    """Hold the card; return the grant."""
    body = {"service_id": "s", "vram_mib": 1000, "ttl_ms": 60000}
    status, grant = daemon.call("POST", "/gpu/request", body)
    assert status == 200, grant
    return grant


def is_kept(daemon, grant):
    """Hold what is promised of a lease whose card says nothing: it is kept and
    renewed, shown as advisory, and nothing else is granted there."""
    name = {"lease": grant["lease"], "token": grant["token"]}
    assert daemon.call("POST", "/gpu/renew", name)[0] == 200
    lease = daemon.call("GET", f"/gpu/leases/{grant['lease']}")[1]
    assert (lease["state"], lease["guarantee"]) == ("held", "advisory")
    body = {"service_id": "t", "vram_mib": 1000, "timeout_ms": 0}
    assert daemon.call("POST", "/gpu/request", body)[0] == 503


def test_a_driver_that_hangs_makes_nobody_wait_but_for_grants(daemon):
    """Only the thread that asks it hangs."""
    configure(daemon, "nvml")
    daemon.start(nvidia(daemon, "used0 300\n"))
    until(lambda: device(daemon)["used_mib"] == 300, "measured")
    grant = hold(daemon)
    os.mkfifo(daemon.home / "fifo")
    nvidia(daemon, f"hang {daemon.home}/fifo\n")
    until(lambda: device(daemon)["state"] == "stale", "stale")
    is_kept(daemon, grant)
    nvidia(daemon, "used0 400\n")
    with open(daemon.home / "fifo", "wb"):
        pass
    until(lambda: device(daemon)["state"] == "ok", "ok again")
    lease = daemon.call("GET", f"/gpu/leases/{grant['lease']}")[1]
    assert lease["guarantee"] == "verified"
    name = {"lease": grant["lease"], "token": grant["token"]}
    assert daemon.call("POST", "/gpu/release", name)[0] == 200


def test_a_lease_on_a_card_that_is_lost_is_kept_and_can_be_released(daemon):
    configure(daemon, "nvml")
    daemon.start(nvidia(daemon, "used0 300\n"))
    until(lambda: device(daemon)["used_mib"] == 300, "measured")
    grant = hold(daemon)
    nvidia(daemon, "memory 15\n")
    until(lambda: device(daemon)["state"] == "gone", "gone")
    is_kept(daemon, grant)
    name = {"lease": grant["lease"], "token": grant["token"]}
    assert daemon.call("POST", "/gpu/release", name)[0] == 200
    nvidia(daemon, "used0 300\n")
    until(lambda: device(daemon)["state"] == "ok", "back")
    hold(daemon)


def test_a_card_that_is_lost_at_the_start_is_left_out_and_named(daemon):
    configure(daemon, "nvml")
    daemon.start(nvidia(daemon, "gpus 2\nmemory0 15\n"))
    assert [d["uuid"] for d in
            daemon.call("GET", "/gpu/status")[1]["devices"]] == [
                f"GPU-{daemon.home.name}-1"]
    assert "GPU 0 is left out" in daemon.log.read_text()


LIBC = ctypes.CDLL(None, use_errno=True)
IN_OPEN = 0x20


class Opens:
    """How often each of some directories was opened, since the last look."""

    def __init__(self, directories):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0
        self.counts = {LIBC.inotify_add_watch(
            self.fd, os.fsencode(path), IN_OPEN): 0 for path in directories}

    def look(self):
        """Return the counts, in the order of the directories."""
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            data = b""
        at = 0
        while at < len(data):
            watch, _, _, size = struct.unpack_from("iIII", data, at)
            at += 16 + size
            if size == 0:  # The directory itself.
                self.counts[watch] += 1
        return list(self.counts.values())

    def close(self):
        os.close(self.fd)


@pytest.mark.parametrize("whose", ["a warm model's", "a stranger's"])
def test_c1_a_card_that_is_waited_for_is_measured_more_often(make, whose):
    """Every 10 to 20 ms where VRAM is waited for, else once a second: 50 to 100
    samples for one; a machine with other things to do may be late."""
    one = make(gpus="[24576, 24576]", verify="settle_ms: 10min\n")
    directories = [one.gpu / "0", one.gpu / "1"]
    for directory in directories:
        directory.mkdir(parents=True)
    one.start()
    if whose == "a warm model's":
        work = one.request("asr", device=0, vram_mib=16000)
    # Who speaks for several services is nobody's parent: it has a stranger.
    spoken = [one.control(name) for name in ("a", "b")]
    stranger = subprocess.Popen(["sleep", "1000"])
    user = str(os.getpid() if whose == "a warm model's" else stranger.pid)
    put(one.gpu / "0", user, "16000")
    until(lambda: one.status()["devices"][0]["used_mib"] == 16000, "measured")
    if whose == "a warm model's":
        one.release(work)
    opens = Opens(directories)

    def while_the_other_is_measured_twice():
        before = opens.look()
        until(lambda: opens.look()[1] >= before[1] + 2, "it is measured")
        return opens.look()[0] - before[0]

    try:
        assert 1 <= while_the_other_is_measured_twice() <= 4
        chat = one.ask("gemma", device=0, vram_mib=16000, priority=0)
        assert 2 * 20 <= while_the_other_is_measured_twice() <= 2 * 100
        put(one.gpu / "0", user, "0")
        one.release(chat.result())
        while_the_other_is_measured_twice()  # Until it is at rest.
        assert 1 <= while_the_other_is_measured_twice() <= 4
    finally:
        opens.close()
        for stream in spoken:
            stream.close()
        stranger.kill()
        stranger.wait()
