"""The checks of the tree notice what they are for, and fail on nothing.

A check that passes on everything would go unnoticed for good.
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import counts  # noqa: E402  (found through the line above)

# A file with one fault, and the check that has to name it.
FAULTS = [
    ("src/base/clock.c", '#include "daemon/loop.h"\n', "check-layers"),
    ("src/core/core.c", '#include "store/store.h"\n', "check-layers"),
    ("src/base/clock.h", "int clock_now(void);\n", "check-comments"),
    ("src/base/clock.h", "/* Read it. */\n\nint clock_now(void);\n",
     "check-comments"),
    ("src/base/clock.h", "/* Read it. */\nMUST_USE int clock_now(void);\n",
     "check-comments"),
    ("src/base/util.c", "int x;\n", "check-words"),
    ("src/base/clock.c", "/* TO" "DO: the rest. */\n", "check-words"),
    ("src/base/clock.c", "\n" * 601, "check-length"),
    ("src/base/clock.c", "int  x ;\n", "format"),
]


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """An empty repository with the tools in it."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copy(ROOT / ".clang-format", tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def check(tree, name):
    """Run a check of @tree; return its exit status and what it says."""
    done = subprocess.run(
        [str(tree / "tools" / name), *(["--check"] if name == "format" else [])],
        capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path, text, name", FAULTS,
                         ids=[f"{name}-{number}" for number, (_, _, name)
                              in enumerate(FAULTS)])
def test_a_check_names_the_file_with_the_fault(tree, path, text, name):
    """A fault is found, and said of the file that has it."""
    file = tree / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (tree / "tests").mkdir()
    (tree / "tests/clock_test.c").write_text("int x;\n")
    status, said = check(tree, name)
    assert status != 0 and path in said


@pytest.mark.parametrize("name", ["check-layers", "check-comments", "format"])
def test_a_check_fails_where_there_is_nothing_to_check(tree, name):
    """A wrong path in a check must not turn it off."""
    assert check(tree, name)[0] != 0


# Starts a program that leaves its session, and perhaps ends before it.
ESCAPING = """
setsid sh -c 'echo $$ >{dir}/pid.new; mv {dir}/pid.new {dir}/pid; sleep 1000' &
while ! [ -e {dir}/pid ]; do sleep 0.01; done
{then}"""

RUNNER = """
import sys
sys.path.insert(0, {tools!r})
import processes
processes.run(["sh", "-c", {script!r}], cwd="/", out=None, env=None,
              seconds=1000)
"""


def is_gone(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("end", [
    None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_leaves_no_process_behind(tmp_path, end):
    """However it ends: a killed run must not go on testing for ever."""
    script = ESCAPING.format(dir=tmp_path, then="sleep 1000" if end else "")
    with subprocess.Popen([sys.executable, "-c", RUNNER.format(
            tools=str(ROOT / "tools"), script=script)]) as runner:
        until((tmp_path / "pid").exists, "it has escaped")
        if end is not None:
            runner.send_signal(end)
    pid = int((tmp_path / "pid").read_text())
    until(lambda: is_gone(pid), "what escaped is ended, too")


MESON_LOG = """\
{"name": "a", "result": "OK", "stdout": "1..2\\nok 1 - x\\nok 2 - y\\n"}
{"name": "b", "result": "FAIL", "stdout": "ok 1 - x\\nnot ok 2 - y\\n"}
{"name": "c", "result": "TIMEOUT", "stdout": "ok 1 - x\\n"}
{"name": "d", "result": "OK", "stdout": "no TAP here"}
{"name": "e", "result": "SKIP", "stdout": ""}
"""


def test_cases_are_counted_and_crashes_are_failures(tmp_path):
    """A program that dies after its first case has failed."""
    log = tmp_path / "log.json"
    log.write_text(MESON_LOG)
    count = counts.of_meson(log)
    assert (count.passed, count.failed, count.skipped) == (5, 2, 1)
    assert count.failures == ["b: y", "c: timeout"]


def test_no_test_is_a_failure(tmp_path):
    """A step that ran nothing must not count as passed."""
    assert counts.of_meson(tmp_path / "absent.json").failed == 1
    empty = tmp_path / "empty.json"
    empty.write_text("")
    assert counts.of_meson(empty).failed == 1


def chaos():
    """Return bench/chaos as a module."""
    loader = importlib.machinery.SourceFileLoader("chaos",
                                                  str(ROOT / "bench/chaos"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("chaos", loader))
    loader.exec_module(module)
    return module


# (asked, granted, ended, devices, token) of grants that keep the promises.
KEPT = [(0, 1, 2, (0,), 10), (0, 3, 4, (0,), 11), (0, 1, 9, (1,), 12)]


@pytest.mark.parametrize("broken", [
    (0, 1.5, 3, (0,), 13),  # Device 0 is still held under token 10.
    (5, 6, 7, (0,), 9),     # Asked for after all others were granted.
    (5, 6, 7, (0,), 12),    # Token 12 again.
], ids=["held twice", "token fell", "token twice"])
def test_a_broken_promise_in_a_history_is_noticed(broken):
    """What bench/chaos looks for, it finds."""
    module = chaos()
    history = module.History()
    history.grants = [module.Grant(*grant) for grant in KEPT]
    module.check_grants(history)
    history.grants.append(module.Grant(*broken))
    with pytest.raises(module.Fault):
        module.check_grants(history)


# What script/run calls, and what it finds there.
STANDINS = {
    "script/bootstrap": "echo bootstrap $*",
    "bin/ninja": "echo built $3",
    "bin/cat": """case "$*" in
*/pci/*) [ -n "$NVIDIA" ] && echo 0x10de; exit 0 ;;
*) exec /bin/cat "$@" ;;
esac""",
    "build/src/cli/gpucoord": "echo gpucoord $*",
}


def run_script(tree, *arguments, **env):
    """Run script/run in @tree, where all that it calls is a stand-in; return
    what these were called with."""
    for name, text in {**STANDINS, "build/build.ninja": ""}.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    shutil.copy(ROOT / "script/run", tree / "script/run")
    done = subprocess.run(
        [str(tree / "script/run"), *arguments], text=True, check=True,
        capture_output=True, env={
            "PATH": f"{tree}/bin:{os.environ['PATH']}", "NVIDIA": "",
            "XDG_CONFIG_HOME": str(tree / "config"), **env})
    return done.stdout.splitlines()


HAS_CARD = any(os.path.exists(path) for path in (
    "/dev/nvidiactl", "/dev/dxg", "/etc/gpucoord/gpucoord.yaml")) or any(
        pathlib.Path("/sys/class/drm").glob("card*/device/mem_info_vram_total"))


@pytest.mark.skipif(HAS_CARD, reason="this machine has a card, or a "
                    "configuration")
def test_a_machine_without_a_card_is_served_a_simulated_one(tmp_path):
    """And what is needed to build is all that is installed."""
    assert run_script(tmp_path) == [
        "bootstrap build", "built src/cli/gpucoord",
        "gpucoord serve --gpus simulated"]


def test_a_machine_with_an_nvidia_card_is_never_served_a_simulated_one(
        tmp_path):
    """Nor where its driver is missing, as here: that is worth an error."""
    assert run_script(tmp_path, NVIDIA="1")[-1] == "gpucoord serve"


def test_who_says_what_to_serve_is_obeyed(tmp_path):
    said = run_script(tmp_path, "-y", "--config", "x")
    assert said == ["bootstrap build -y", "built src/cli/gpucoord",
                    "gpucoord serve --config x"]
    config = tmp_path / "config/gpucoord/gpucoord.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    assert run_script(tmp_path)[-1] == "gpucoord serve"


SERVERS = {"redis-server", "beanstalkd", "postgresql"}


def test_no_server_is_installed_to_build():
    """And those that tests and benchmarks need are not left running."""
    text = (ROOT / "script/bootstrap").read_text()
    lists = {name: set(packages.split()) for name, packages
             in re.findall(r"^(\w+)_packages='(.*?)'", text,
                           re.MULTILINE | re.DOTALL)}
    assert set(lists) == {"build", "test", "bench"}
    assert not [package for package in lists["build"] if package in SERVERS
                or package.endswith("-server")]
    services = re.search(r"^services='(.*?)'", text, re.MULTILINE)[1]
    assert {name + ".service" for name in SERVERS} == set(services.split())
    assert SERVERS >= lists["bench"]


def test_a_failure_of_the_simulator_is_told_with_its_seed_and_made_short():
    """C14: three grants need few steps; the rest is left out of the trace."""
    binary = pathlib.Path(os.environ.get(
        "GPUCOORD_BIN", ROOT / "build/src/cli/gpucoord")).resolve()
    build = pathlib.Path(os.environ.get("GPUCOORD_BUILD", binary.parents[2]))
    program = build / "tests/sim/sim_main"
    if not program.exists():
        pytest.skip("this build has no simulator")
    done = subprocess.run(
        [str(program), "--profile", "plain", "--seed", "7", "--events", "500",
         "--fail-at", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED: --profile plain --seed 7 --events 500, at step " \
        in done.stdout
    kept = int(re.search(r"^(\d+) of its steps are enough:$", done.stdout,
                         re.MULTILINE)[1])
    assert 3 <= kept <= 12
    assert "3 grants" in done.stderr
    trace = [line for line in done.stderr.splitlines()
             if line.startswith("         grant lease ")]
    assert len(trace) == 3, done.stderr


PURE = "int core_{name}(void);\nint core_{name}(void)\n{{\n    return 0;\n}}\n"
IMPURE = ("long time(long *);\nlong core_{name}(void);\n"
          "long core_{name}(void)\n{{\n    return time(0);\n}}\n")


@pytest.mark.parametrize("text, status", [(PURE, 0), (IMPURE, 1)])
def test_a_core_that_looks_at_the_clock_is_noticed(tree, text, status):
    """The name of the member and of what it asks for are said."""
    for library, names, source in (
            ("src/core/libcore.a", ["pass"], text),
            ("src/base/libbase.a", ["heap", "idmap", "rank"], PURE)):
        archive = tree / "build" / library
        archive.parent.mkdir(parents=True)
        for name in names:
            file = archive.parent / f"{name}.c"
            file.write_text(source.format(name=name))
            subprocess.run(["cc", "-c", "-o", f"{file}.o", str(file)],
                           check=True)
        subprocess.run(["ar", "rc", str(archive),
                        *(f"{archive.parent}/{name}.c.o" for name in names)],
                       check=True)
    done = subprocess.run(
        [str(tree / "tools/check-core-pure"), str(tree / "build")],
        capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert ("pass.c.o imports time" in said) == (status == 1)
