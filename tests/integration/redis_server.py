"""A real Redis in a private directory, on a Unix socket only, and redis-cli."""

import json
import shutil
import signal
import subprocess
import threading

import pytest

from conftest import LIMIT_S, until

SERVER = shutil.which("redis-server")
CLI = shutil.which("redis-cli")

needs_redis = pytest.mark.skipif(
    SERVER is None or CLI is None, reason="redis-server is not installed")


class Redis:
    def __init__(self, directory):
        self.dir = directory
        self.socket = str(directory / "redis.sock")
        self.log = directory / "redis.log"
        self.process = None
        self.login = []  # Options of redis-cli that say who it is.

    @property
    def url(self):
        return f"unix://{self.socket}"

    def start(self, *options):
        """Start with nothing in it; @options as on its command line."""
        log = open(self.log, "ab")
        self.process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", self.socket, "--dir",
             str(self.dir), "--save", "", "--appendonly", "no", *options],
            stdout=log, stderr=log)
        until(self._answers, "redis answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return "PONG" in self.run("PING").stdout

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT_S)

    def stop_running(self):
        """Let it hang: it is there, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def run(self, *words):
        """Run redis-cli with @words."""
        return subprocess.run([CLI, "-s", self.socket, *self.login, *words],
                              capture_output=True, text=True, timeout=LIMIT_S,
                              check=False)

    def cli(self, *words):
        """Return what redis-cli prints for @words, as it prints to a pipe."""
        return self.run(*words).stdout.rstrip("\n")

    def key(self, name):
        """Return the object at @name; None where there is nothing."""
        text = self.cli("GET", name)
        return json.loads(text) if text else None


class Subscriber:
    """`redis-cli SUBSCRIBE`, read in a thread: what a shell script has."""

    def __init__(self, server, channel, verb="SUBSCRIBE"):
        self.messages = []
        self.process = subprocess.Popen(
            [CLI, "-s", server.socket, *server.login, verb, channel],
            stdout=subprocess.PIPE, text=True)
        self.is_open = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        until(lambda: self.is_open, f"'{channel}' is subscribed to")

    def _run(self):
        # A line each: the kind, of a pattern that, the channel, the data.
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if len(lines) == (4 if lines[0] == "pmessage" else 3):
                if lines[0] in ("message", "pmessage"):
                    self.messages.append(json.loads(lines[-1]))
                else:
                    self.is_open = True
                lines = []

    def of(self, command):
        return [message for message in list(self.messages)
                if message["command"] == command]

    def expect(self, command, after=0, **fields):
        """Wait for @command with @fields, not among the first @after."""
        def find():
            return next((message for message in list(self.messages)[after:]
                         if message["command"] == command and
                         all(message.get(name) == value
                             for name, value in fields.items())), None)
        return until(find, f"'{command}' with {fields} in {self.messages}")

    def close(self):
        self.process.kill()
        self.process.wait(LIMIT_S)
        self.thread.join(LIMIT_S)
        self.process.stdout.close()


@pytest.fixture
def make_redis(tmp_path):
    """Make servers that end with the test; they are not started yet."""
    made = []

    def create(name="redis"):
        directory = tmp_path / name
        directory.mkdir()
        made.append(Redis(directory))
        return made[-1]

    yield create
    for server in made:
        server.end()


@pytest.fixture
def redis(make_redis):
    return make_redis().start()


@pytest.fixture
def subscribe():
    """Make subscribers that end with the test."""
    made = []

    def create(server, *words):
        made.append(Subscriber(server, *words))
        return made[-1]

    yield create
    for subscriber in made:
        subscriber.close()
