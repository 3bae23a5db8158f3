"""Start programs, and leave none of them behind.

Each program runs below a keeper: this file, run as a program.  The keeper
adopts the orphans among its descendants, so that it finds each of them, also
one that a test started in a session of its own.  It kills them all when the
program has ended, when it is told to end, and when whoever started it has
died, however that came.  So several programs can run at once.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

TIMED_OUT = 124  # As timeout(1) says it.

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Ended(Exception):
    """Nothing is started any more: the run is being ended."""


class Keepers:
    """The keepers that run now, in all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()
        self.is_over = False

    def start(self, command, **options):
        """Start @command below a keeper; return the keeper's Popen."""
        with self.lock:
            if self.is_over:
                raise Ended
            keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(os.getpid()),
                 *command], stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT, **options)
            self.running.add(keeper)
            return keeper

    def stop(self, keeper):
        """Have a keeper end all that is below it, and wait until it has."""
        keeper.terminate()
        keeper.wait()
        with self.lock:
            self.running.discard(keeper)

    def stop_all(self):
        """Stop those that run, and let none start any more."""
        with self.lock:
            self.is_over = True
            running = list(self.running)
        for keeper in running:
            keeper.terminate()
        for keeper in running:
            keeper.wait()


KEEPERS = Keepers()


def run(command, cwd, out, env, seconds):
    """Run @command with its output in @out; return its exit status, or
    TIMED_OUT where it had to be stopped.  What it left running is ended.

    Only the thread that calls may wait for it: the keeper ends with it.
    """
    keeper = KEEPERS.start(command, cwd=cwd, stdout=out, env=env)
    try:
        return keeper.wait(seconds)
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    finally:
        KEEPERS.stop(keeper)


def stop_all():
    """End what runs in any thread; a later run() raises Ended."""
    KEEPERS.stop_all()


def parent_of(pid):
    """Return the parent of a process; None where there is no such process."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8",
                                                           errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may itself hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[1])


def descendants():
    """Return the processes that come from this one."""
    parents = {int(name): parent_of(name) for name in os.listdir("/proc")
               if name.isdigit()}
    found = {os.getpid()}
    more = True
    while more:
        more = {pid for pid, parent in parents.items()
                if parent in found and pid not in found}
        found |= more
    return found - {os.getpid()}


def end_descendants():
    """Kill and reap every descendant, also those that appear meanwhile."""
    while pids := descendants():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        # Not until all have died: one that was born meanwhile has not been
        # killed.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.002)


def keep(parent, command):
    """Run @command for the process @parent; return its exit status."""
    # Told to end, it is interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    status = TIMED_OUT
    try:
        if os.getppid() == parent:  # It has not died before it was watched.
            status = subprocess.Popen(command).wait()
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        end_descendants()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), sys.argv[2:]))
