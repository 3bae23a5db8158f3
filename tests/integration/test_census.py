"""Whose VRAM it is: holders, services, warm models and rogues (B3, C1, C8).

The card is simulated: a file named after a living process is what that
process uses.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import sqlite3
import subprocess

import pytest

from conftest import until


@pytest.fixture(name="spawn")
def make_spawn():
    """Make processes that end with the test."""
    made = []

    def spawn():
        made.append(subprocess.Popen(["sleep", "600"]))
        return made[-1]

    yield spawn
    for process in made:
        process.kill()
        process.wait()


@pytest.fixture(name="nvidia")
def make_nvidia(make, tmp_path):
    """A coordinator on the stand-in of NVIDIA's library; its card's files are
    in its .gpu, like those of a simulated one."""
    build = pathlib.Path(os.environ.get("GPUCOORD_BIN", "build/x/x/x"))
    stand_in = build.absolute().parents[2] / "tests/unit/device"
    if not (stand_in / "libnvidia-ml.so.1").exists():
        pytest.skip("the stand-in is not built")
    cards = tmp_path / "cards"
    (cards / "0").mkdir(parents=True)
    drive = tmp_path / "drive"
    drive.write_text(f"cards {cards}\nutil 37\ntemp 41\npower 120000\n"
                     f"tag GPU-{os.getpid()}\n")
    coordinator = make(verify="")
    text = coordinator.config.read_text().splitlines()
    coordinator.config.write_text("\n".join(
        "gpus: nvml" if line.startswith("gpus:") else line for line in text))
    coordinator.gpu = cards / "0"
    return coordinator.start(env={"LD_LIBRARY_PATH": str(stand_in),
                                  "STANDIN_NVML": str(drive),
                                  "STANDIN_CARDS": str(cards)})


@pytest.fixture(name="card", params=["simulated", "nvidia"])
def make_card(request):
    """A coordinator on a card that is measured, of each kind."""
    if request.param == "nvidia":
        return request.getfixturevalue("nvidia")
    return request.getfixturevalue("make")(verify="").start()


def use(coordinator, process, mib):
    """Let @process use @mib of the card."""
    other = coordinator.gpu / "new"
    other.write_text(f"{mib}\n")
    other.rename(coordinator.gpu / str(process.pid))


def device(coordinator):
    return coordinator.status()["devices"][0]


def shown(coordinator, process):
    """Return what the status says of @process; None before it is seen."""
    for entry in device(coordinator)["processes"] or []:
        if entry["pid"] == process.pid:
            return entry
    return None


def seen(coordinator, process, mib):
    """Wait until @process is seen with @mib; return what is said of it."""
    def look():
        entry = shown(coordinator, process)
        return entry if entry and entry["used_mib"] == mib else None
    return until(look, f"pid {process.pid} with {mib} MiB")


def speak_for_many(coordinator):
    """Speak for two services: so the test is nobody's parent."""
    coordinator.spoken = [coordinator.control(name) for name in ("a", "b")]


def hold(coordinator, service, process, **fields):
    """Hold the card for @process."""
    answer = coordinator.request(service, watch_pid=process.pid, **fields)
    assert answer.status == 200
    return answer


def why(coordinator, service):
    """Return why the waiter of @service waits; None before it does."""
    for lease in coordinator.status()["waiters"]:
        if lease["service_id"] == service:
            return lease["why"]
    return None


def test_c8_a_rogue_is_charged_and_shown_and_named_and_logged_once(card, spawn):
    coordinator = card
    speak_for_many(coordinator)
    rogue = spawn()
    use(coordinator, rogue, 3000)
    entry = seen(coordinator, rogue, 3000)
    assert entry == {"pid": rogue.pid, "name": "sleep", "used_mib": 3000,
                     "graphics": False, "service_id": None, "lease": None,
                     "rogue": True}
    until(lambda: device(coordinator)["unleased_mib"] == 3000, "charged")
    assert device(coordinator)["rogue_mib"] == 3000
    assert device(coordinator)["free_mib"] <= 24576 - 3000
    waiter = coordinator.ask("gemma", vram_mib=23000, timeout_ms=60000)
    text = f"3,000 MiB in use without a lease by pid {rogue.pid} (sleep)"
    until(lambda: text in why(coordinator, "gemma")["text"], text)
    metrics = coordinator.get("/metrics").text
    assert 'gpucoord_rogue_vram_mib{device="0"} 3000' in metrics
    assert 'gpucoord_rogues_total{device="0"} 1' in metrics
    use(coordinator, rogue, 500)
    assert waiter.result().status == 200
    log = coordinator.log.read_text()
    assert log.count(f"pid {rogue.pid} (sleep) uses") == 1


def test_a_desktop_blocks_nobody(card, spawn):
    coordinator = card
    desktop = spawn()
    use(coordinator, desktop, 900)
    seen(coordinator, desktop, 900)
    assert coordinator.request("chat", timeout_ms=5000).status == 200


def test_c1_a_liar_is_named_by_its_process(card, spawn):
    coordinator = card
    liar = spawn()
    control = coordinator.control("batch")
    work = hold(coordinator, "batch", liar, priority=5, vram_mib=16000,
                preemptible=True, ttl_ms=60000)
    assert work["guarantee"] == "supervised"
    use(coordinator, liar, 16000)
    entry = seen(coordinator, liar, 16000)
    assert (entry["lease"], entry["rogue"]) == (work["lease"], False)
    chat = coordinator.ask("chat", priority=0, vram_mib=16000)
    control.expect("pause")
    coordinator.ack(work, "paused", vram_mib=0)
    use(coordinator, liar, 13100)
    seen(coordinator, liar, 13100)
    text = f"13,100 of 16,000 MiB still in use by pid {liar.pid} (sleep)"
    told = until(lambda: text in why(coordinator, "chat")["text"] and
                 why(coordinator, "chat"), text)
    assert "acknowledged" in told["text"]
    assert told["blocker"]["pids"] == [liar.pid]
    assert told["blocker"]["used_mib"] == 13100
    assert not chat.is_over
    use(coordinator, liar, 0)
    assert chat.result().status == 200


def test_who_uses_more_than_it_asked_for_is_charged_what_it_uses(card, spawn):
    coordinator = card
    greedy = spawn()
    work = hold(coordinator, "greedy", greedy, vram_mib=2000, ttl_ms=60000)
    use(coordinator, greedy, 6000)
    until(lambda: device(coordinator)["charged_mib"] == 6000, "charged")
    assert coordinator.lease(work["lease"])["measured_mib"] == 6000
    assert device(coordinator)["unleased_mib"] == 0
    assert coordinator.request("other", vram_mib=20000,
                               timeout_ms=0).status == 503


def test_footprints_and_swap_times_are_learned_and_shown(make, spawn):
    """Measured, not declared; fewer than five swaps say nothing."""
    coordinator = make(verify="").start()
    worker = spawn()
    control = coordinator.control("batch")
    work = hold(coordinator, "batch", worker, vram_mib=2000, ttl_ms=60000,
                priority=5, preemptible=True)
    use(coordinator, worker, 6000)
    until(lambda: coordinator.lease(work["lease"])["measured_mib"] == 6000,
          "measured")

    def learned():
        return {service["service_id"]: service
                for service in coordinator.status()["services"]}["batch"]
    until(lambda: learned()["footprint_mib"] == 6000, "its footprint")
    for swaps in range(1, 6):
        assert learned()["pause_ms"] is None
        before = len(control.names())
        chat = coordinator.ask("chat", priority=0, vram_mib=20000)
        control.expect("pause", before)
        use(coordinator, worker, 0)
        coordinator.ack(work, "paused")
        grant = chat.result()
        assert grant.status == 200
        coordinator.release(grant)
        work = control.expect("resume", before)
        use(coordinator, worker, 6000)
        coordinator.ack(work, "resumed")
        until(lambda: learned()["pauses"] == swaps, "counted")  # noqa: B023
        until(lambda: coordinator.lease(work["lease"])[
            "measured_mib"] == 6000, "measured again")
    assert learned()["pause_ms"] >= 0
    assert learned()["resume_ms"] >= 0


def test_a_service_is_known_by_its_program(make, spawn):
    coordinator = make(verify="", extra="services:\n  engine:\n"
                       "    processes: {exe: sleep}\n").start()
    engine = spawn()
    use(coordinator, engine, 700)
    entry = seen(coordinator, engine, 700)
    assert (entry["service_id"], entry["rogue"]) == ("engine", False)
    until(lambda: device(coordinator)["resident_mib"] == 700, "resident")


def test_a_service_is_known_by_who_spoke_for_it(make, spawn):
    """SO_PEERCRED: the test speaks for it, and its child uses the card."""
    coordinator = make(verify="").start()
    coordinator.release(coordinator.request("engine"))
    engine = spawn()
    use(coordinator, engine, 700)
    assert seen(coordinator, engine, 700)["service_id"] == "engine"


CONTAINER = secrets.token_hex(32)  # Others test on this machine, too.

# A client of a runtime; it has one container, if its directory says so.
RUNTIME = """#!/bin/sh
echo "$@" >>{dir}/calls
while [ ! -e {dir}/go ]; do sleep 0.01; done
[ -e {dir}/name ] || {{ echo 'permission denied'; exit 1; }}
cat {dir}/name
"""


@pytest.fixture(name="container")
def make_container(spawn, tmp_path):
    """A process that is in a container, by its cgroup, and a runtime."""
    for base in ("/sys/fs/cgroup/freezer", "/sys/fs/cgroup"):
        place = pathlib.Path(base) / "docker" / CONTAINER
        process = spawn()
        try:
            place.mkdir(parents=True)
            (place / "cgroup.procs").write_text(str(process.pid))
            break
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
    else:
        pytest.skip("no cgroup can be made here")
    runtime = tmp_path / "docker"
    runtime.write_text(RUNTIME.format(dir=tmp_path))
    runtime.chmod(0o755)
    yield process
    process.kill()
    process.wait()
    place.rmdir()
    with contextlib.suppress(OSError):  # Another test's is there as well.
        place.parent.rmdir()


def test_a_service_is_known_by_the_name_of_its_container(
        make, container, tmp_path):
    """Its runtime is asked, off the loop; until it answers nobody is named a
    rogue."""
    coordinator = make(verify="", extra="services:\n  engine:\n"
                       "    processes: {container: whisper}\n")
    coordinator.start(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    use(coordinator, container, 700)
    entry = seen(coordinator, container, 700)
    assert (entry["service_id"], entry["rogue"]) == (None, False)
    assert not device(coordinator)["attributed"]
    (tmp_path / "name").write_text("/whisper\n")
    (tmp_path / "go").touch()
    until(lambda: shown(coordinator, container)["service_id"] == "engine",
          "its name is known")
    until(lambda: device(coordinator)["resident_mib"] == 700, "resident")
    assert (tmp_path / "calls").read_text() == (
        f"container inspect --format {{{{.Name}}}} {CONTAINER}\n")


def test_a_runtime_that_says_nothing_leaves_a_rogue(
        make, container, tmp_path):
    coordinator = make(verify="", extra="services:\n  engine:\n"
                       "    processes: {container: whisper}\n")
    coordinator.start(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    (tmp_path / "go").touch()
    use(coordinator, container, 700)
    until(lambda: (shown(coordinator, container) or {}).get("rogue"), "a rogue")
    assert "name it by its id, its unit or its cgroup" in (
        coordinator.log.read_text())


def test_the_process_of_a_blind_holder_is_presumed(make, spawn):
    """Nothing says whose it is, and nobody else can be meant."""
    coordinator = make(verify="").start()
    speak_for_many(coordinator)
    desktop = spawn()
    use(coordinator, desktop, 900)
    assert seen(coordinator, desktop, 900)["rogue"]
    coordinator.request("blind", vram_mib=4000, ttl_ms=60000)
    worker = spawn()
    use(coordinator, worker, 3000)
    entry = seen(coordinator, worker, 3000)
    assert (entry["service_id"], entry["rogue"]) == ("blind", False)
    assert seen(coordinator, desktop, 900)["rogue"]
    assert device(coordinator)["unleased_mib"] == 900
    assert device(coordinator)["charged_mib"] == 4000


def test_of_two_blind_holders_nobody_is_presumed(make, spawn):
    coordinator = make(verify="").start()
    speak_for_many(coordinator)
    coordinator.request("first", vram_mib=4000, ttl_ms=60000)
    coordinator.request("second", vram_mib=4000, ttl_ms=60000)
    worker = spawn()
    use(coordinator, worker, 3000)
    entry = seen(coordinator, worker, 3000)
    assert (entry["service_id"], entry["rogue"]) == (None, False)
    assert not device(coordinator)["attributed"]
    assert device(coordinator)["charged_mib"] == 8000


def test_what_a_blind_holder_leaves_after_a_moment_is_its_services(
        make, spawn):
    """It came and went between two samples, and left a model."""
    coordinator = make(verify="").start()
    speak_for_many(coordinator)
    work = coordinator.request("blind", vram_mib=4000, ttl_ms=60000)
    worker = spawn()
    use(coordinator, worker, 3000)
    until(lambda: coordinator.lease(work["lease"])["held_ms"] > 0, "held")
    coordinator.release(work)
    entry = seen(coordinator, worker, 3000)
    assert (entry["service_id"], entry["rogue"]) == ("blind", False)
    until(lambda: device(coordinator)["resident_mib"] == 3000, "resident")


def test_a_warm_model_is_its_services_and_named(make, spawn):
    coordinator = make(verify="").start()
    speak_for_many(coordinator)
    engine = spawn()
    work = hold(coordinator, "engine", engine, vram_mib=8000, ttl_ms=60000)
    use(coordinator, engine, 8000)
    seen(coordinator, engine, 8000)
    coordinator.release(work)
    until(lambda: device(coordinator)["resident_mib"] == 8000, "resident")
    until(lambda: shown(coordinator, engine)["lease"] is None, "left")
    assert shown(coordinator, engine)["service_id"] == "engine"


# ---- After a restart ---------------------------------------------------


def test_c7_a_holder_that_died_with_the_coordinator_is_gone_at_once(
        make, spawn):
    coordinator = make(verify="").start()
    holder = spawn()
    work = hold(coordinator, "batch", holder, ttl_ms=600000)
    use(coordinator, holder, 9000)
    seen(coordinator, holder, 9000)
    coordinator.kill()
    holder.kill()
    holder.wait()
    coordinator.start()
    assert coordinator.request("next", timeout_ms=15000).status == 200
    assert coordinator.lease(work["lease"])["reason"] == "gone"


def test_c7_a_holder_that_lives_is_watched_again(make, spawn):
    coordinator = make(verify="").start()
    holder = spawn()
    work = hold(coordinator, "batch", holder, ttl_ms=600000)
    use(coordinator, holder, 9000)
    seen(coordinator, holder, 9000)
    coordinator.kill()
    coordinator.start()
    assert seen(coordinator, holder, 9000)["lease"] == work["lease"]
    assert coordinator.lease(work["lease"])["guarantee"] == "supervised"
    waiter = coordinator.ask("next", timeout_ms=60000)
    holder.kill()
    holder.wait()
    assert waiter.result().status == 200
    assert coordinator.lease(work["lease"])["reason"] == "gone"


def test_c7_a_number_that_is_used_again_is_another_process(make, spawn):
    coordinator = make(verify="").start()
    holder = spawn()
    work = hold(coordinator, "batch", holder, ttl_ms=600000)
    coordinator.kill()
    store = sqlite3.connect(coordinator.dir / "queue.db")
    with contextlib.closing(store), store:
        store.execute("UPDATE lease SET watch_started = watch_started - 1")
    coordinator.start()
    until(lambda: coordinator.lease(work["lease"])["state"] == "ended", "gone")
    assert coordinator.lease(work["lease"])["reason"] == "gone"


def test_c7_the_process_that_a_renewal_named_is_watched_again(make, spawn):
    coordinator = make(verify="").start()
    first = spawn()
    second = spawn()
    work = hold(coordinator, "batch", first, ttl_ms=600000)
    coordinator.post("/gpu/renew", lease=work["lease"], token=work["token"],
                     watch_pid=second.pid)
    coordinator.kill()
    first.kill()
    first.wait()
    coordinator.start()
    assert coordinator.lease(work["lease"])["state"] == "held"
    second.kill()
    second.wait()
    until(lambda: coordinator.lease(work["lease"])["state"] == "ended", "gone")


def test_c7_all_processes_of_a_lease_are_watched_again(make, spawn):
    """The holder is gone once all are, also over a restart."""
    coordinator = make(verify="").start()
    first = spawn()
    second = spawn()
    work = hold(coordinator, "batch", first, ttl_ms=600000)
    coordinator.post("/gpu/renew", lease=work["lease"], token=work["token"],
                     watch_pid=second.pid)
    coordinator.kill()
    coordinator.start()
    use(coordinator, first, 900)
    assert seen(coordinator, first, 900)["lease"] == work["lease"]
    second.kill()
    second.wait()
    until(lambda: f"its process {second.pid} has died"
          in coordinator.log.read_text(), "it was noticed")
    assert coordinator.lease(work["lease"])["state"] == "held"
    first.kill()
    first.wait()
    until(lambda: coordinator.lease(work["lease"])["state"] == "ended", "gone")


# ---- Many -------------------------------------------------------------------

LISTED = 128  # Processes of a device that a sample lists.

# Each thread has a number in /proc, and there the program of its process.
CROWD = """
import sys, threading
end = threading.Event()
for _ in range(int(sys.argv[1])):
    thread = threading.Thread(target=end.wait)
    thread.start()
    print(thread.native_id)
print(flush=True)
"""


@pytest.fixture(name="crowd")
def make_crowd():
    """Make many processes of one program; they end with the test."""
    made = []

    def crowd(count):
        made.append(subprocess.Popen(
            ["/usr/bin/python3", "-c", CROWD, str(count)],
            stdout=subprocess.PIPE, text=True))
        return [int(line) for line in iter(made[-1].stdout.readline, "\n")]

    yield crowd
    for process in made:
        process.kill()
        process.communicate()


def lists(coordinator, pids):
    """Wait until just @pids are listed."""
    until(lambda: pids == {entry["pid"] for entry
                           in device(coordinator)["processes"] or []},
          "they are listed")


# Who has gone is not among those that a stranger is compared with.
def test_all_processes_may_be_others_in_the_next_sample(make, spawn, crowd,
                                                        tmp_path):
    program = pathlib.Path("/usr/bin/python3").resolve().name
    extra = f"services:\n  many: {{processes: {{exe: {program}}}}}\n"
    coordinator = make(extra=extra, verify="").start()
    speak_for_many(coordinator)
    crowd_pids = crowd(2 * LISTED - 1)
    stranger = spawn()
    turns = [set(crowd_pids[:LISTED]), {*crowd_pids[LISTED:], stranger.pid}]
    for number, pids in enumerate(turns):
        users = tmp_path / f"users-{number}"
        users.mkdir()
        for pid in pids:
            (users / str(pid)).write_text("10\n")
        link = tmp_path / f"link-{number}"
        link.symlink_to(users)
        link.rename(coordinator.gpu / "0")  # All at once.
        lists(coordinator, pids)
    assert shown(coordinator, stranger)["rogue"]
    coordinator.stop()
    assert coordinator.process.returncode == 0, coordinator.log.read_text()


# ---- NVIDIA's driver, stood in for ------------------------------------------


def test_nvidias_figures_and_processes_are_shown(nvidia, spawn):
    rogue = spawn()
    use(nvidia, rogue, 2000)
    assert seen(nvidia, rogue, 2000)["rogue"]
    until(lambda: device(nvidia)["utilisation_percent"] == 37, "utilisation")
    shown_now = device(nvidia)
    assert (shown_now["temperature_c"], shown_now["power_mw"]) == (41, 120000)
    assert shown_now["driver"]
    assert shown_now["unleased_mib"] >= 2000


def test_a_holder_on_an_nvidia_card_that_is_killed_makes_room(nvidia, spawn):
    holder = spawn()
    work = hold(nvidia, "batch", holder, ttl_ms=600000, vram_mib=9000)
    use(nvidia, holder, 9000)
    assert seen(nvidia, holder, 9000)["lease"] == work["lease"]
    waiter = nvidia.ask("next", vram_mib=20000, timeout_ms=60000)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert waiter.result().status == 200
