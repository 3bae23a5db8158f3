"""What clients saw of a coordinator that was killed under them, and whether
that keeps the promises.

Times are of one clock, time.monotonic(), of the clients' machine.
"""

import collections
import threading

Grant = collections.namedtuple("Grant", "asked granted ended devices token")


class Fault(Exception):
    """A promise was broken."""


class History:
    """What the clients saw; every entry is added under the lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.grants = []
        self.tasks = {}  # Durable, acknowledged, not yet done: job to lease.
        self.done = 0
        self.faults = []
        self.is_fenced = True
        self.stop = threading.Event()

    def fault(self, text):
        """Remember that a promise was broken, and stop."""
        with self.lock:
            self.faults.append(text)
        self.stop.set()


def check_grants(history):
    """No device was held twice at a time, and tokens rose."""
    held_until = collections.defaultdict(float)
    token_on = collections.defaultdict(int)
    with history.lock:
        grants = sorted(history.grants, key=lambda grant: grant.token)
    if len({grant.token for grant in grants}) != len(grants):
        raise Fault("a token was granted twice")
    earliest = None  # The first answered among those with a higher token.
    for grant in reversed(grants):
        if earliest is not None and earliest.granted < grant.asked:
            raise Fault(f"tokens fell: {earliest} was answered before {grant} "
                        "was asked for")
        if earliest is None or grant.granted < earliest.granted:
            earliest = grant
    for grant in grants:
        for device in grant.devices:
            if grant.granted < held_until[device]:
                raise Fault(f"device {device} was granted twice: token "
                            f"{token_on[device]}, then {grant}")
            held_until[device] = grant.ended
            token_on[device] = grant.token
