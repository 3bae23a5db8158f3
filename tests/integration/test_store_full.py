"""A full disk: nothing new is accepted, releases go on (guarantee 12).

Needs a file system that can be filled: a tmpfs, which only root can mount.
"""

import ctypes
import os

import pytest

from conftest import problem, until

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
MS_PRIVATE_REC = 0x40000 | 0x4000


@pytest.fixture(name="small")
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    # Seen by this process and those it starts: gone with them in any case.
    if LIBC.unshare(CLONE_NEWNS) == 0:
        LIBC.mount(None, b"/", None, MS_PRIVATE_REC, None)
    if LIBC.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, b"size=16m") != 0:
        pytest.skip("cannot mount a tmpfs: " + os.strerror(ctypes.get_errno()))
    yield disk
    LIBC.umount2(os.fsencode(disk), 2)


def fill(disk):
    with open(disk / "filler", "ab", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass


def test_full_disk_refuses_new_tasks_and_takes_releases(make, small):
    coordinator = make(store=small / "queue.db").start()
    held = [coordinator.request("x", vram_mib=100, job_id=str(i))
            for i in range(20)]
    fill(small)

    def refused():
        answer = coordinator.request("y", wait=False,
                                     job_id=os.urandom(8).hex(),
                                     metadata={"text": "x" * 3000})
        return answer if answer.status == 503 else None

    answer = until(refused, "refused")
    assert problem(answer) == "store-full"
    assert "Retry-After" in answer.headers
    assert coordinator.get("/readyz").status == 503
    assert coordinator.status()["store"] == "store-full"
    for grant in held:
        assert coordinator.renew(grant).status == 200
        assert coordinator.release(grant).status == 200
    (small / "filler").unlink()
    until(lambda: coordinator.get("/readyz").status == 200, "there is room")
    assert coordinator.request("z").status == 200


def test_what_was_accepted_before_the_disk_was_full_is_there_afterwards(
        make, small):
    coordinator = make(store=small / "queue.db").start()
    holder = coordinator.request("holder", priority=0)
    fill(small)
    accepted = []
    for i in range(20000):
        answer = coordinator.request("y", wait=False, job_id=str(i),
                                     metadata={"text": "x" * 3000})
        if answer.status != 202:
            break
        accepted.append(answer["lease"])
    assert answer.status == 503
    coordinator.kill()
    (small / "filler").unlink()
    coordinator.start()
    assert coordinator.lease(holder["lease"])["state"] == "held"
    for lease in accepted:
        assert coordinator.lease(lease)["state"] == "away"
