"""A real PostgreSQL server of its own, for tests and benchmarks.

Debian's programs, a private directory, a private Unix socket, no TCP.  It is
ended in any case, and leaves nothing behind.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

STOP_SECONDS_MAX = 30
OWNER = "postgres"  # PostgreSQL refuses to run as root.


def binaries():
    """Return the directory of the newest PostgreSQL's programs; None where
    there is none."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                   key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else None


def is_available():
    """Say whether a server can be started here."""
    if binaries() is None:
        return False
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(OWNER) is not None
        return False
    return True


class Postgres:
    """A server; its data stay over stop() and start()."""

    def __init__(self, listen=()):
        """Make its data; @listen are IPv4 addresses where it listens, too."""
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gpucoord-pg-"))
        self.data = self.home / "data"
        self.log = self.home / "log"
        self.process = None
        if os.geteuid() == 0:
            user = pwd.getpwnam(OWNER)
            os.chown(self.home, user.pw_uid, user.pw_gid)
            self.home.chmod(0o755)
        self._run("initdb", "-D", str(self.data), "-U", OWNER, "-A", "trust",
                  "--no-sync", "-E", "UTF8", "--locale=C")
        # Renewals and batches are many and small.
        with open(self.data / "postgresql.conf", "a",
                  encoding="utf-8") as conf:
            conf.write(f"listen_addresses = '{','.join(listen)}'\n"
                       f"unix_socket_directories = '{self.home}'\n"
                       "max_connections = 50\n"
                       # Processes die here, the machine never; and on a busy
                       # disk a leadership would end that nobody meant to end.
                       "fsync = off\n"
                       "shared_buffers = 16MB\n")
        with open(self.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
            hba.writelines(f"host all all {address}/24 trust\n"
                           for address in listen)

    @property
    def url(self):
        """Where coordinators keep their queue."""
        return self.url_at(self.home)

    @staticmethod
    def url_at(host):
        """The same, reached at @host: a directory, or an address."""
        return f"postgresql:///{OWNER}?host={host}&user={OWNER}"

    def _as_owner(self, arguments):
        if os.geteuid() == 0:
            return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}",
                    "--clear-groups", *arguments]
        return arguments

    def _run(self, program, *arguments):
        subprocess.run(
            self._as_owner([f"{binaries()}/{program}", *arguments]),
            check=True, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL)

    def start(self, wrapper=()):
        """Start it and wait until it takes connections; @wrapper is put before
        the command."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, *self._as_owner([f"{binaries()}/postgres", "-D",
                                            str(self.data)])],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._await()
        return self

    def _await(self):
        while True:
            done = subprocess.run(
                [f"{binaries()}/pg_isready", "-q", "-h", str(self.home)],
                check=False)
            if done.returncode == 0:
                return
            if self.process.poll() is not None:
                raise RuntimeError("PostgreSQL did not start:\n"
                                   + self.log.read_text(errors="replace"))

    def stop(self, how=signal.SIGINT):
        """End it: SIGINT drops the connections, SIGQUIT the memory, too."""
        self.process.send_signal(how)
        self.process.wait(STOP_SECONDS_MAX)

    def fail_over(self):
        """Go on on a new timeline, as a standby that is promoted does."""
        self.stop()
        with open(self.data / "postgresql.conf", "a",
                  encoding="utf-8") as conf:
            conf.write("restore_command = 'false'\n")
        subprocess.run(self._as_owner(["touch",
                                       str(self.data / "recovery.signal")]),
                       check=True, cwd="/")
        return self.start()

    def ask(self, sql):
        """Run @sql; return its answer as a list of lists of texts."""
        done = subprocess.run(
            [f"{binaries()}/psql", "-X", "-q", "-A", "-t", "-F", "\x1f",
             "-h", str(self.home), "-U", OWNER, "-v", "ON_ERROR_STOP=1",
             "-c", sql],
            check=True, capture_output=True, text=True)
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def terminate(self, where="true"):
        """Terminate the backends of coordinators; return how many."""
        return int(self.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE application_name LIKE 'gpucoord%' AND ({where})")[0][0])

    def close(self):
        """End it in any case, and remove its files."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
