"""Start programs, and leave none of them behind.

This process adopts the orphans among its descendants, so that end_all() finds
each of them, also one that a test started in a session of its own.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

TIMED_OUT = 124  # As timeout(1) says it.

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command, cwd, out, env):
    """Start @command with its output in @out; return its Popen."""
    return subprocess.Popen(command, cwd=cwd, stdout=out,
                            stdin=subprocess.DEVNULL,
                            stderr=subprocess.STDOUT, env=env)


def finish(process, seconds):
    """Return the exit status of @process, or TIMED_OUT where it takes longer."""
    try:
        return process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        return TIMED_OUT


def run(command, cwd, out, env, seconds, beside=None):
    """Run @command with its output in @out; return its exit status, or
    TIMED_OUT where it had to be stopped.  What it left running is ended.

    @beside, a pair of a command and its output, is run at the same time; with
    it a pair of statuses is returned.
    """
    until = time.monotonic() + seconds
    process = start(command, cwd, out, env)
    other = None if beside is None else start(beside[0], cwd, beside[1], env)
    status = finish(process, seconds)
    if other is not None:
        status = status, finish(other, until - time.monotonic())
    end_all()
    return status


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


def end_all():
    """Kill and reap every descendant, also those that appear meanwhile."""
    while pids := descendants():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, 0)[0]:
                pass
        except ChildProcessError:
            pass
