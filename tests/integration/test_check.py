"""`gpucoord check`: what this machine has, and what works here (C8, C12)."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import BINARY, LIMIT_S, until
from test_census import (make_container,  # noqa: F401
                         make_spawn)


@pytest.fixture(name="sleeper")
def make_sleeper():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def check(config, *options, env=None):
    return subprocess.run([BINARY, "check", "--config", str(config), *options],
                          text=True, capture_output=True, timeout=LIMIT_S,
                          check=False, env={**os.environ, **(env or {})})


def write(tmp_path, gpus, services=""):
    config = tmp_path / "gpucoord.yaml"
    config.write_text(f"socket: {tmp_path}/run/gpucoord.sock\n"
                      f"store: sqlite:{tmp_path}/queue.db\n"
                      f"gpus: {gpus}\n{services}")
    return config


def use(directory, process, mib):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / str(process)).write_text(f"{mib}\n")


def test_check_says_whose_the_processes_on_a_gpu_are(tmp_path, sleeper):
    config = write(tmp_path, f"{{simulated: [24576], dir: {tmp_path}/gpu}}",
                   "services:\n  engine: {processes: {exe: sleep}}\n")
    use(tmp_path / "gpu", sleeper.pid, 900)
    use(tmp_path / "gpu", os.getpid(), 300)
    done = check(config, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    device, = report["devices"]
    assert (device["source"], device["state"]) == ("simulated", "ok")
    assert device["used_mib"] == 1200
    owners = {p["pid"]: p["service_id"] for p in device["processes"]}
    assert owners == {sleeper.pid: "engine", os.getpid(): None}
    assert report["config"] == str(config)
    text = check(config).stdout
    assert "matches no service" in text
    assert "everything that is configured works here" in text


def test_check_knows_a_container_by_its_name(tmp_path, container):
    config = write(tmp_path, f"{{simulated: [24576], dir: {tmp_path}/gpu}}",
                   "services:\n  engine: {processes: {container: whisper}}\n")
    (tmp_path / "name").write_text("/whisper\n")
    (tmp_path / "go").touch()
    use(tmp_path / "gpu", container.pid, 900)
    done = check(config, "--json",
                 env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    process, = json.loads(done.stdout)["devices"][0]["processes"]
    assert process["service_id"] == "engine"


def test_check_says_which_rung_does_not_work_and_why(tmp_path):
    config = write(tmp_path, f"{{simulated: [24576], dir: {tmp_path}/gpu}}",
                   "services:\n"
                   "  batch:\n"
                   "    ladder: [ask, checkpoint, term, restart]\n"
                   "    restart: [/nonexistent/program]\n")
    done = check(config, "--json", env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["problems"] == 2
    rungs = {r["rung"]: r for r in report["services"][0]["rungs"]}
    assert not rungs["checkpoint"]["works"]
    assert "570" in rungs["checkpoint"]["reason"]
    assert rungs["term"]["works"] and rungs["term"]["in_ladder"]
    assert rungs["kill"]["works"] and not rungs["kill"]["in_ladder"]
    assert rungs["restart"]["reason"] == (
        "there is no program '/nonexistent/program'")
    assert "2 things do not work" in check(config).stdout


def test_check_names_the_paths_and_the_group_for_containers(make):
    coordinator = make()
    before = json.loads(check(coordinator.config, "--json").stdout)
    assert before["paths"]["coordinator_answers"] is False
    assert before["paths"]["store_state"] == "new"
    coordinator.start()
    done = check(coordinator.config, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["paths"]["socket"] == coordinator.socket
    assert report["paths"]["coordinator_answers"] is True
    directory = pathlib.Path(coordinator.socket)
    assert report["container"]["mount"] == str(directory.parent)
    assert report["container"]["gid"] == directory.stat().st_gid


def test_check_of_a_machine_without_a_gpu_fails_and_says_why(tmp_path):
    config = write(tmp_path, f"{{amdgpu: {{sysfs: {tmp_path}}}}}")
    done = check(config)
    assert done.returncode == 1
    assert "no gpu: " in done.stdout


def test_check_of_a_wrong_configuration_names_the_mistake(tmp_path):
    config = write(tmp_path, "nvml", "mood: good\n")
    done = check(config)
    assert done.returncode == 2
    assert f"{config}:4:1: " in done.stderr


def test_check_shows_the_driver_of_a_card(tmp_path, sleeper):
    library = pathlib.Path(BINARY).absolute().parents[2] / "tests/unit/device"
    if not (library / "libnvidia-ml.so.1").exists():
        pytest.skip("this build has no stand-in for NVIDIA's library")
    drive = tmp_path / "drive"
    drive.write_text(f"cards {tmp_path}/cards\nutil 37\n")
    use(tmp_path / "cards/0", sleeper.pid, 2000)
    config = write(tmp_path, "nvml")
    done = check(config, "--json", env={"LD_LIBRARY_PATH": str(library),
                                        "STANDIN_NVML": str(drive)})
    report = json.loads(done.stdout)
    device, = report["devices"]
    assert (device["source"], device["utilisation_percent"]) == ("nvml", 37)
    assert device["driver"]
    process, = device["processes"]
    assert (process["pid"], process["used_mib"]) == (sleeper.pid, 2000)
    assert process["service_id"] is None


def test_status_prints_the_processes(make, sleeper):
    coordinator = make(verify="").start()
    use(coordinator.gpu, sleeper.pid, 900)
    until(lambda: coordinator.status()["devices"][0]["processes"], "seen")
    done = subprocess.run(
        [BINARY, "status"], text=True, capture_output=True, timeout=LIMIT_S,
        check=True, env={**os.environ,
                         "GPUCOORD_URL": f"unix://{coordinator.socket}"})
    row, = [line.split() for line in done.stdout.splitlines()
            if str(sleeper.pid) in line]
    assert row == ["0", str(sleeper.pid), "sleep", "900", "MiB", "nobody's",
                   "-"]
