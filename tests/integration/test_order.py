"""Who goes next, over HTTP: A3, A4, A6, A9, B4."""

from conftest import until


def test_a9_the_scripted_example(coordinator):
    """A (transcription) runs, B (transcription) waits, C (chat) comes later;
    then C, then B; with a summarization waiting that is next."""
    page = []

    def name(grant):
        return coordinator.lease(grant["lease"])["job_id"]

    def ask(job, kind):
        page.append(f"{job} ({kind}) asks")
        # Not preemptible: the example is about order, not about pausing.
        return coordinator.ask("stack", job_id=job, preemptible=False,
                               **{"class": kind})

    def ends(grant):
        page.append(f"{name(grant)} ends")
        coordinator.release(grant)

    def granted(pending):
        grant = pending.result()
        page.append(f"{name(grant)} is granted")
        return grant

    a = granted(ask("A", "transcription"))
    waiting_b = ask("B", "transcription")
    waiting_c = ask("C", "chatbot")
    ends(a)
    c = granted(waiting_c)
    ends(c)
    b = granted(waiting_b)
    counts = coordinator.status()["stats"]["consecutive"]
    page.append(f"transcriptions in a row: {counts['transcription']}")
    waiting_d = ask("D", "transcription")
    waiting_e = ask("E", "summarization")
    ends(b)
    e = granted(waiting_e)
    ends(e)
    ends(granted(waiting_d))

    assert "\n".join(page) == """\
A (transcription) asks
A is granted
B (transcription) asks
C (chatbot) asks
A ends
C is granted
C ends
B is granted
transcriptions in a row: 2
D (transcription) asks
E (summarization) asks
B ends
E is granted
E ends
D is granted
D ends"""


def test_a3_status_follows_the_facts(coordinator):
    assert coordinator.status()["gpu_lock"] == {
        "is_locked": False, "current_holder": None}
    grant = coordinator.request("s", job_id="j", metadata={"a": 1},
                                preemptible=False, **{"class": "transcription"})
    waiter = coordinator.ask("t", **{"class": "summarization"})
    status = coordinator.status()
    assert status["scheduler_running"]
    assert status["gpu_lock"]["is_locked"]
    holder = status["gpu_lock"]["current_holder"]
    assert holder["job_id"] == "j"
    assert holder["job_type"] == "transcription"
    assert holder["metadata"] == {"a": 1}
    assert status["queue_sizes"]["summarization"] == 1
    assert status["stats"]["grants"]["transcription"] == 1
    assert status["stats"]["consecutive"]["transcription"] == 1
    assert status["stats"]["last_job_type"] == "transcription"
    coordinator.release(grant)
    coordinator.release(waiter.result())
    status = coordinator.status()
    assert status["stats"]["last_job_type"] == "summarization"
    assert status["stats"]["consecutive"]["transcription"] == 0


def test_a6_at_most_two_transcriptions_in_a_row(coordinator):
    holder = coordinator.request("holder", priority=0)
    kinds = ["transcription"] * 6 + ["summarization"] * 3
    waiting = [(kind, coordinator.ask("s", preemptible=False,
                                      **{"class": kind})) for kind in kinds]
    coordinator.release(holder)
    order = []
    while waiting:
        kind, pending = until(
            lambda: next((one for one in waiting if one[1].is_over), None),
            "the next grant")
        waiting.remove((kind, pending))
        order.append(kind[0])
        coordinator.release(pending.result())
    order = "".join(order)
    assert order.count("t") == 6
    assert "ttt" not in order and "ss" not in order


def test_b4_strict_order_between_priorities(coordinator):
    holder = coordinator.request("holder", priority=0)
    low = coordinator.ask("low", priority=2)
    middle = coordinator.ask("middle", priority=1)
    high = coordinator.ask("high", priority=0)
    coordinator.release(holder)
    for pending in (high, middle, low):
        coordinator.release(pending.result())
