"""The checks of the tree notice what they are for, and fail on nothing.

A check that passes on everything would go unnoticed for good.
"""

import importlib.machinery
import importlib.util
import pathlib
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
