"""The queue in PostgreSQL, with a real server.  B9, C6, guarantees 2, 11, 13."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, problem, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import postgres  # noqa: E402

pytestmark = pytest.mark.skipif(not postgres.is_available(),
                                reason="no PostgreSQL is installed here")


@pytest.fixture(scope="module")
def server():
    made = postgres.Postgres().start()
    yield made
    made.close()


@pytest.fixture
def database(server):
    """A server that runs, with an empty schema."""
    if server.process.poll() is not None:
        server.start()
    server.ask("DROP SCHEMA public CASCADE")
    server.ask("CREATE SCHEMA public")
    return server


@pytest.fixture
def served(make, database):
    return make().start("--store", database.url)


def has_postgres():
    """Say whether the program was built with it."""
    done = subprocess.run([BINARY, "export", "--store", "postgresql://x@/x"
                           "?host=/proc/nothing"], check=False,
                          capture_output=True, text=True)
    return "without it" not in done.stderr


if not has_postgres():
    pytestmark = pytest.mark.skip(reason="built without PostgreSQL")


def move(command, *arguments, text=None):
    return subprocess.run([BINARY, command, *arguments], input=text,
                          check=False, capture_output=True, text=True)


def test_people_see_who_waits_with_sql(served, database):
    grant = served.request("chat", timeout_ms=1000)
    served.request("files", wait=False, job_id="7", timeout_ms=1000)
    rows = database.ask("SELECT service_id, state, token FROM gpu_queue")
    assert rows == [["chat", "held", str(grant["token"])],
                    ["files", "away", ""]]
    assert grant["token"] > 1 << 40  # The WAL's first timeline.


def test_a_second_coordinator_is_refused(served, make, database):
    second = make("two")
    process = second.spawn("--store", database.url)
    assert process.wait(20) == 1
    assert "another coordinator has it open" in second.log.read_text()
    assert served.request("chat", timeout_ms=1000).status == 200


def test_holders_keep_what_they_have_while_the_database_is_away(served,
                                                                database):
    """B9: nothing new is granted, everybody is told why, nothing is lost."""
    grant = served.request("chat", timeout_ms=1000)
    waits = served.ask("files", timeout_ms=60000, job_id="1")
    database.stop()
    until(lambda: served.get("/readyz").status == 503, "/readyz says so")
    answer = served.get("/readyz")
    assert problem(answer) == "store-away"
    status = served.status()
    assert status["store"] == "store-away"
    assert status["store_why"]
    assert "gpucoord_store_away 1" in served.get("/metrics").text
    for _ in range(3):
        assert served.renew(grant).status == 200
    refused = served.request("late", timeout_ms=1000)
    assert (refused.status, problem(refused)) == (503, "store-away")
    why = served.get("/gpu/status").json
    assert why["waiting"] == 1
    given = served.ask_again("nobody", timeout_ms=1)  # Refused at once.
    assert given.result().status == 503
    release = Release(served, grant)
    database.start()
    assert release.result() == 200
    assert waits.result().status == 200
    assert waits.result()["token"] > grant["token"]
    until(lambda: served.get("/readyz").status == 200, "it is ready again")
    assert "gpucoord_store_aways_total 1" in served.get("/metrics").text


class Release:
    """A release that waits for the database."""

    def __init__(self, coordinator, grant):
        self.process = subprocess.Popen(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
             "--unix-socket", coordinator.socket, "-d",
             json.dumps({"lease": grant["lease"], "token": grant["token"]}),
             "http://gpu/gpu/release"], stdout=subprocess.PIPE, text=True)
        until(lambda: not coordinator.status()["holders"], "it is given back")
        assert self.process.poll() is None

    def result(self):
        return int(self.process.communicate(timeout=20)[0])


def test_a_call_is_told_when_the_database_stays_away(served, database):
    """It is stored all the same when the database is back."""
    grant = served.request("chat", timeout_ms=1000)
    database.stop()
    until(lambda: served.get("/readyz").status == 503, "/readyz says so")
    answer = served.release(grant)
    assert (answer.status, problem(answer)) == (503, "store-away")
    database.start()
    until(lambda: served.get("/readyz").status == 200, "it is ready again")
    until(lambda: database.ask("SELECT * FROM gpu_queue") == [], "it is stored")
    assert served.release(grant).status == 200


def test_a_command_waits_for_the_database(served, database):
    """Like for a coordinator that restarts."""
    database.stop()
    until(lambda: served.get("/readyz").status == 503, "/readyz says so")
    process = subprocess.Popen(
        [BINARY, "run", "--", "echo", "it ran"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "GPUCOORD_URL": f"unix://{served.socket}"})
    assert "away" in process.stderr.readline()
    database.start()
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "it ran\n")


def test_backends_that_are_ended_cost_nothing(served, database):
    """Guarantee 2: 200 turns, a backend ended before each tenth."""
    last = 0
    for i in range(200):
        if i % 10 == 0:
            database.terminate()
        grant = until(lambda i=i: granted(served, i), "a grant")
        assert grant["token"] > last
        last = grant["token"]
        until(lambda g=grant: served.release(g).status == 200, "released")
    assert database.ask("SELECT * FROM gpu_queue") == []


def granted(coordinator, number):
    """Ask for the GPU; None where the database is away."""
    answer = coordinator.request("chat", timeout_ms=5000, job_id=str(number))
    return answer if answer.status == 200 else None


def test_a_coordinator_that_was_deposed_leaves(served, database):
    """Guarantee 13: it grants nothing more, and says why it ends."""
    served.request("chat", timeout_ms=1000)
    database.stop()
    until(lambda: served.get("/readyz").status == 503, "/readyz says so")
    database.start()
    # Before it comes back, or after: the next batch finds out.
    database.ask("UPDATE gpu_leader SET epoch = epoch + 1")
    until(lambda: ended(served), "it leaves")
    assert served.process.returncode == 1
    assert "belongs to another coordinator" in served.log.read_text()


def ended(coordinator):
    if coordinator.process.poll() is None:
        try:
            coordinator.request("other", wait=False, timeout_ms=1000)
        except OSError:
            pass
    return coordinator.process.poll() is not None


def test_a_reboot_loses_no_task(make, database):
    """Coordinator and database are killed with 1,000 queued tasks: all are
    there, in their order, and are worked off by services that come back."""
    coordinator = make().start("--store", database.url)
    holder = coordinator.request("first", timeout_ms=1000)
    numbers = {}
    for i in range(1000):
        answer = coordinator.request("files", wait=False, job_id=str(i),
                                     priority=2 + i % 2, timeout_ms=600000)
        assert answer.status == 202
        numbers[answer["lease"]] = i
    coordinator.kill()
    database.stop(signal.SIGQUIT)
    database.start()
    coordinator.start("--store", database.url)
    assert coordinator.status()["waiting"] == 0  # Nobody attends them.
    jobs = [row[0] for row in database.ask(
        "SELECT job_id FROM gpu_queue WHERE service_id = 'files'")]
    assert jobs == [str(i) for i in range(1000)]
    stream = coordinator.control("files")
    coordinator.release(holder)
    order = []
    for i in range(1000):
        until(lambda i=i: len(grants(stream)) > i, "the next grant")
        grant = grants(stream)[i]
        order.append(numbers[grant["lease"]])
        coordinator.release(grant)
    assert order == [*range(0, 1000, 2), *range(1, 1000, 2)]
    stream.close()


def grants(stream):
    return [event["data"] for event in list(stream.events)
            if event["event"] == "grant"]


def answers(coordinator, path):
    try:
        return coordinator.get(path).status == 200
    except OSError:
        return False


def fill(coordinator):
    """A holder, tasks, a class's place, a drain."""
    coordinator.request("chat", timeout_ms=1000)
    for i in range(5):
        coordinator.request("files", wait=False, job_id=f"j\xf6b {i}",
                            metadata={"file": f"{i}"}, timeout_ms=600000)
    coordinator.admin("drain")
    coordinator.stop()


def test_a_queue_moves_to_postgres_and_back(make, database, tmp_path):
    source = make().start()
    fill(source)
    first = move("export", "--store", str(source.dir / "queue.db"))
    assert first.returncode == 0, first.stderr
    done = move("import", "--store", database.url, text=first.stdout)
    assert done.returncode == 0, done.stderr
    second = move("export", "--store", database.url)
    back = tmp_path / "back.db"
    done = move("import", "--store", str(back), text=second.stdout)
    assert done.returncode == 0, done.stderr
    third = move("export", "--store", str(back))
    assert first.stdout.splitlines()[1:] == second.stdout.splitlines()[1:]
    assert second.stdout == third.stdout
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [row["lease"]["service_id"] for row in rows if "lease" in row] \
        == ["chat"] + ["files"] * 5
    target = make("two")
    target.process = target.spawn("--store", database.url)
    until(lambda: answers(target, "/healthz"), "it answers")
    assert problem(target.get("/readyz")) == "draining"
    target.admin("undrain")
    assert [h["service_id"] for h in target.status()["holders"]] == ["chat"]


def test_tokens_rise_after_an_import(make, database):
    """Guarantee 2: also where the old store had given very high numbers."""
    source = make().start()
    before = source.request("chat", timeout_ms=1000)["token"]
    source.stop()
    text = move("export", "--store", str(source.dir / "queue.db")).stdout
    head, _, rest = text.partition("\n")
    head = json.loads(head)
    assert head["numbers"] > before
    head["numbers"] = 1 << 50
    text = json.dumps(head) + "\n" + rest
    assert move("import", "--store", database.url, text=text).returncode == 0
    target = make("two").start("--store", database.url)
    target.release(target.status()["holders"][0])
    token = target.request("chat", timeout_ms=5000)["token"]
    assert 1 << 50 < token < 1 << 53


def test_an_import_is_all_or_nothing(make, database):
    source = make().start()
    fill(source)
    text = move("export", "--store", str(source.dir / "queue.db")).stdout
    lines = text.splitlines(keepends=True)
    bad = {
        "it was cut": "".join(lines[:-1]),
        "line 4": "".join([*lines[:3], '{"lease":{}}\n', *lines[4:]]),
        "line 3": "".join([*lines[:2], "{\n", *lines[2:]]),
        "not that of": "".join(lines[1:]),
        "newer version": text.replace('"version":1', '"version":2', 1),
    }
    for why, wrong in bad.items():
        done = move("import", "--store", database.url, text=wrong)
        assert done.returncode == 1
        assert why in done.stderr
    assert database.ask("SELECT * FROM gpu_lease") == []
    assert move("import", "--store", database.url, text=text).returncode == 0
    again = move("import", "--store", database.url, text=text)
    assert again.returncode == 1
    assert "not empty" in again.stderr


def test_a_queue_in_use_is_not_moved(served, make, database):
    for command in ["export", "import"]:
        done = move(command, "--store", database.url, text="")
        assert done.returncode == 1
        assert "another coordinator has it open" in done.stderr
    other = make("two").start()
    done = move("export", "--store", str(other.dir / "queue.db"))
    assert done.returncode == 1
    assert "has it open" in done.stderr
    done = move("export", "--store", str(other.dir / "nothing.db"))
    assert done.returncode == 1
    assert not (other.dir / "nothing.db").exists()


def test_a_password_in_the_url_is_refused(make, database):
    coordinator = make()
    process = coordinator.spawn("--store", "postgresql://u:secret@/x")
    assert process.wait(20) == 1
    assert "password" in coordinator.log.read_text()
    assert "secret" not in coordinator.log.read_text()
