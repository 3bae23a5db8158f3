"""`simulate` and `replay` on recorded workloads (A4, B4, B5, C14)."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import coordinator  # noqa: E402  (found through the line above)

SAMPLE = ROOT / "bench/data/household.csv"
AZURE = pathlib.Path(os.environ.get(
    "GPUCOORD_TRACES", ROOT.parent / "shared/traces"),
    "azure_llm_conv_2023.csv")

CHUNK_MS = 2000
OFFLOAD_MS = 500

SPEED = 10
REPLAY_UNTIL_S = 300  # Of the trace: half a minute for a test.


def run(command, *options, env=None, status=0):
    """Run a command of the program; return what it did."""
    done = subprocess.run([coordinator.program(), command, *map(str, options)],
                          capture_output=True, text=True, timeout=300,
                          env=env, check=False)
    assert done.returncode == status, done.stderr
    return done


def result(command, tmp_path, *options, env=None):
    """Run a command; return (its result by class, the result, the jobs)."""
    jobs = tmp_path / f"{command}.csv"
    done = run(command, "--json", "--jobs", jobs, *options, env=env)
    whole = json.loads(done.stdout)
    with open(jobs, encoding="utf-8") as file:
        rows = [{key: value if key == "class" else int(value)
                 for key, value in row.items()}
                for row in csv.DictReader(file)]
    return {row["class"]: row for row in whole["classes"]}, whole, rows


def trace_options(path):
    """Return the options for a trace, skipping where it is not here."""
    if not path.exists():
        pytest.skip(f"{path} is not here; set GPUCOORD_TRACES to its folder")
    return ["--trace", path, "--every", 60 if path == AZURE else 1]


@pytest.mark.parametrize("path", [SAMPLE, AZURE], ids=["sample", "azure"])
def test_with_preemption_the_wait_is_bounded(path, tmp_path):
    """B5: a chat waits for one chunk, one offload, and the chats before it."""
    _, whole, jobs = result("simulate", tmp_path, *trace_options(path))
    last_end = 0
    for job in jobs:
        since = max(job["submitted_ms"], last_end)
        assert job["granted_ms"] - since <= CHUNK_MS + OFFLOAD_MS, job
        last_end = job["ended_ms"]
    assert whole["preemptions"] > len(jobs) / 2


@pytest.mark.parametrize("path", [SAMPLE, AZURE], ids=["sample", "azure"])
def test_without_preemption_chat_waits_for_whole_jobs(path, tmp_path):
    """B4: what preemption buys, and that it can be switched off."""
    options = trace_options(path)
    with_it, _, _ = result("simulate", tmp_path, *options)
    without, whole, _ = result("simulate", tmp_path, *options, "--no-preempt")
    assert whole["preemptions"] == 0
    for figure in ("p50", "p95", "p99"):
        assert (without["chatbot"]["wait_ms"][figure]
                > 3 * with_it["chatbot"]["wait_ms"][figure])


def test_the_same_seed_is_the_same_run(tmp_path):
    """C14: a run is a function of its input."""
    runs = [result("simulate", tmp_path, "--trace", SAMPLE, "--seed", seed)[1]
            for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]


def test_the_configuration_counts(tmp_path):
    """C9: a lingering seat spares the chat's next wait."""
    config = tmp_path / "gpucoord.yaml"
    config.write_text("classes:\n  chatbot: {priority: 0, linger: 10s}\n",
                      encoding="utf-8")
    plain, _, _ = result("simulate", tmp_path, "--trace", SAMPLE)
    kept, _, _ = result("simulate", tmp_path, "--trace", SAMPLE,
                        "--config", config)
    assert kept["chatbot"]["waited"] < plain["chatbot"]["waited"] - 50


def last_job(tmp_path, trace, *options):
    """Simulate requests; return (how long the last waited, how long it
    held)."""
    file = tmp_path / "one.csv"
    file.write_text(trace, encoding="utf-8")
    _, _, [*_, job] = result("simulate", tmp_path, "--trace", file, "--seed", 0,
                         *options)
    return (job["granted_ms"] - job["submitted_ms"],
            job["ended_ms"] - job["granted_ms"])


def test_tokens_cost_what_is_said(tmp_path):
    azure = ("TIMESTAMP,ContextTokens,GeneratedTokens\n"
             "2023-11-16 18:15:46.6805900,1000,100\n")
    alone = ("--background", "none", "--load", "0")
    assert last_job(tmp_path, azure, *alone, "--prompt-us", 1000,
                    "--generated-us", 20000) == (0, 3000)
    assert last_job(tmp_path, azure, *alone, "--prompt-us", 2000,
                    "--generated-us", 10000) == (0, 3000)
    assert last_job(tmp_path, azure, *alone, "--prompt-us", 4000,
                    "--generated-us", 10000, "--class", "voice") == (0, 5000)


def test_a_model_takes_its_time_to_come_and_to_go(tmp_path):
    """Nobody can wait for less than what the job before it needs to leave."""
    chat = "at_ms,class,work_ms\n0,chatbot,1\n20000,chatbot,1000\n"
    work = ("--background", "transcription", "--job", "10min", "--chunk", "1s",
            "--load", "2s")
    waited, held = last_job(tmp_path, chat, *work, "--offload", "500ms")
    assert held == 3000
    later, held = last_job(tmp_path, chat, *work, "--offload", "2500ms")
    assert (later - waited, held) == (2000, 3000)


def test_a_backlog_waits_for_itself(tmp_path):
    chat = "at_ms,class,work_ms\n0,chatbot,1\n100000,chatbot,1000\n"
    file = tmp_path / "late.csv"
    file.write_text(chat, encoding="utf-8")
    waits = []
    for backlog in (1, 3):
        classes, _, _ = result(
            "simulate", tmp_path, "--trace", file, "--seed", 0, "--background",
            "summarization", "--job", "10s", "--backlog", backlog)
        waits.append(classes["summarization"]["wait_ms"]["p50"])
    assert waits[0] == 0 and waits[1] >= 20000, waits


@pytest.mark.parametrize("options, said", [
    ([], "--trace is missing"),
    (["--trace", "absent.csv"], "cannot open 'absent.csv'"),
    (["--trace", "bad.csv"],
     "bad.csv:3: work_ms must be a whole number from 1 to 86400000"),
    (["--trace", "unknown.csv"],
     "the configuration has no class 'nobody'"),
    (["--trace", SAMPLE, "--config", "bad.csv"], "bad.csv:1:"),
    (["--trace", SAMPLE, "--every", "0"], "--every, --chunk and --job"),
    (["--trace", SAMPLE, "--background", "a,,b"], "is not a list of classes"),
    (["--trace", SAMPLE, "--chunk", "2 apples"], "--chunk"),
])
def test_a_mistake_is_named(options, said, tmp_path, monkeypatch):
    """Every mistake is told in one line, and nothing is printed else."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("bad.csv").write_text(
        "at_ms,class,work_ms\n0,chatbot,1\n1,chatbot,x\n", encoding="utf-8")
    pathlib.Path("unknown.csv").write_text(
        "at_ms,class,work_ms\n0,nobody,1\n", encoding="utf-8")
    done = run("simulate", *options,
               status=1 if "absent.csv" in options else 2)
    assert said in done.stderr
    assert done.stdout == ""


@pytest.fixture(name="running")
def fixture_running():
    """A coordinator on one simulated card that frees its memory at once."""
    it = coordinator.Coordinator(more="verify: off")
    try:
        yield it.start()
    finally:
        it.close()


def order_of(jobs):
    """Return the rows in the order of their grants."""
    return [job["row"] for job in sorted(jobs, key=lambda job:
                                         (job["granted_ms"], job["row"]))]


def disagreement(tmp_path, options, speed):
    """Replay on a coordinator of its own; say where it differs from what the
    simulation says, None if it does not."""
    said, _, simulated = result("simulate", tmp_path, *options)
    running = coordinator.Coordinator(more="verify: off")
    try:
        running.start()
        did, whole, replayed = result("replay", tmp_path, *options,
                                      "--speed", f"{speed:g}",
                                      env=running.environment())
    finally:
        running.close()
    assert whole["refused"] == 0
    assert said["chatbot"]["waited"] >= 0.3 * len(simulated)
    gaps = [(b["submitted_ms"] - a["submitted_ms"]) / speed
            for a, b in zip(simulated, simulated[1:])]
    assert min(gaps) > 50, "arrivals too close to have one order"
    for figure in ("p50", "p95"):
        one = said["chatbot"]["wait_ms"][figure]
        two = did["chatbot"]["wait_ms"][figure]
        if abs(one - two) > max(0.1 * one, 50 * SPEED):
            return figure, one, two
    if order_of(replayed) != order_of(simulated):
        return order_of(replayed), order_of(simulated)
    return None


@pytest.mark.long
def test_replay_and_simulate_agree(tmp_path):
    """C14: the real daemon does to real clients what the simulation says.

    The chunks are short, so that a chat that comes just before a chunk's end
    in one run and just after it in the other waits about as long.  What a busy
    machine adds is less of the trace's time the slower that goes; what is
    wrong stays.
    """
    options = ["--trace", SAMPLE, "--until", f"{REPLAY_UNTIL_S}s",
               "--chunk", "400ms"]
    for speed in (SPEED, SPEED / 2, SPEED / 5):
        found = disagreement(tmp_path, options, speed)
        if found is None:
            return
    pytest.fail(f"they disagree at every speed: {found}")


def test_replay_leaves_nothing_behind(running, tmp_path):
    """What the background holds at the end is given back."""
    result("replay", tmp_path, "--trace", SAMPLE, "--until", "20s",
           "--speed", SPEED, env=running.environment())
    status = running.call("GET", "/gpu/status")[1]
    assert status["holders"] == []


def test_replay_needs_a_coordinator(tmp_path):
    """Exit status 5 says that nobody answers."""
    done = run("replay", "--trace", SAMPLE, status=5, env={
        **os.environ, "GPUCOORD_URL": f"unix://{tmp_path}/none.sock"})
    assert "no coordinator at" in done.stderr
