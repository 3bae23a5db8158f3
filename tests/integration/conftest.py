"""A real coordinator in a private directory, and clients for it.

GPUCOORD_BIN names the program.  Nothing here sleeps to wait: what has to
become true is asked for again until it is, or the test fails.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

BINARY = os.environ.get("GPUCOORD_BIN", "build/src/cli/gpucoord")
LIMIT_S = 60  # Whatever takes longer hangs.
PAUSE_MAX_S = 0.05  # Between two looks at what is waited for.
TABLE = "table"  # The property of a test whose text is printed at the end.


def pytest_configure(config):
    """Being told to end is an interruption: what was started is ended, too.
    What runs in the background may have been told to ignore SIGINT, and all
    it starts would be as deaf."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "xdist_group(name): run in one process")
    config.addinivalue_line("markers", "long: takes seconds, and starts first")


def pytest_collection_modifyitems(items):
    """Start what is long first: else it would be waited for at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter):
    """Print the tables; where several processes test, none has a terminal."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == TABLE:
                    terminalreporter.write_line(text)


def until(condition, what, limit_s=LIMIT_S):
    """Return what @condition gives once it is true.  It is asked often at
    first, seldom later: many tests wait at a time."""
    end = time.monotonic() + limit_s
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(pause)
        pause = min(1.2 * pause, PAUSE_MAX_S)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("gpu", timeout=LIMIT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.text = body.decode()
        is_json = "json" in headers.get("Content-Type", "")
        self.json = json.loads(body) if is_json and body else None

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return f"{self.status} {self.text}"


class Pending:
    """A call that waits, in a thread of its own, on its own connection."""

    def __init__(self, coordinator, path, body):
        self.conn = UnixConnection(coordinator.socket)
        self.conn.connect()
        self.answer = None
        self.error = None
        self.thread = threading.Thread(
            target=self._run, args=(path, body), daemon=True)
        self.thread.start()

    def _run(self, path, body):
        try:
            self.conn.request("POST", path, json.dumps(body))
            reply = self.conn.getresponse()
            self.answer = Answer(reply.status, reply.headers, reply.read())
        except (OSError, http.client.HTTPException) as error:
            self.error = error

    @property
    def is_over(self):
        return not self.thread.is_alive()

    def result(self):
        self.thread.join(LIMIT_S)
        assert self.is_over, "the call never returned"
        assert self.answer is not None, f"no answer: {self.error}"
        return self.answer

    def close(self):
        """Hang up, as a client that dies does."""
        self.conn.sock.shutdown(socket.SHUT_RDWR)
        self.conn.close()


class Stream:
    """A stream of Server-Sent Events, read in a thread."""

    def __init__(self, coordinator, path, method="GET", body=None,
                 headers=None):
        self.events = []
        self.conn = UnixConnection(coordinator.socket)
        self.conn.request(method, path, body, headers or {})
        self.sock = self.conn.sock  # http.client lets go of it.
        self.sock.settimeout(None)
        self.reply = None
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.reply = self.conn.getresponse()
            event = {}
            for line in self.reply:
                line = line.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if line == "" and event:
                    event["data"] = json.loads(event.get("data", "null"))
                    self.events.append(event)
                    event = {}
                elif name:
                    event[name] = value
        except (OSError, http.client.HTTPException, ValueError,
                AttributeError):
            pass
        self.is_over = True

    def expect(self, name, after=0):
        """Wait for the first event @name, not among the first @after."""
        def find():
            return next((event for event in list(self.events)[after:]
                         if event["event"] == name), None)
        return until(find, f"event '{name}' after {self.events}")["data"]

    def names(self):
        return [event["event"] for event in self.events]

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.conn.close()


class Coordinator:
    def __init__(self, directory, extra=""):
        self.dir = directory
        self.socket = str(directory / "run" / "gpucoord.sock")
        self.gpu = directory / "gpu"
        self.config = directory / "gpucoord.yaml"
        self.log = directory / "log"
        self.process = None
        self.configure(extra)

    def configure(self, extra="", gpus="[24576]", verify="verify: off\n",
                  store=None):
        store = store or self.dir / "queue.db"
        self.config.write_text(
            "listen: null\n"
            f"socket: {self.socket}\n"
            f"store: sqlite:{store}\n"
            f"gpus: {{simulated: {gpus}, dir: {self.gpu}}}\n"
            f"{verify}{extra}")

    def spawn(self, *options, env=None):
        log = open(self.log, "ab")
        return subprocess.Popen(
            [BINARY, "serve", "--config", str(self.config), *options],
            stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def start(self, *options, env=None):
        self.process = self.spawn(*options, env=env)
        until(self._is_ready, "ready")
        return self

    def _is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self):
        """Die as in a power cut of the process: nothing is said."""
        self.process.kill()
        self.process.wait(LIMIT_S)

    def end(self):
        """Stop it in any case.  It ends by itself where it can: then the leak
        checker and the counters of lines have their say."""
        if self.process is None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(LIMIT_S)

    def call(self, method, path, body=None, headers=None):
        conn = UnixConnection(self.socket)
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            conn.request(method, path, data, headers or {})
            reply = conn.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            conn.close()

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, **body):
        return self.call("POST", path, body)

    def status(self):
        return self.get("/gpu/status").json

    def lease(self, lease):
        return self.get(f"/gpu/leases/{lease}")

    def request(self, service, **fields):
        return self.post("/gpu/request", service_id=service, **fields)

    def ask_again(self, service, **fields):
        """Send a request whose lease may be there already."""
        return Pending(self, "/gpu/request", {"service_id": service, **fields})

    def ask(self, service, **fields):
        """Request the GPU without waiting here for the answer."""
        before = self.status()["waiting"]
        pending = self.ask_again(service, **fields)
        until(lambda: pending.is_over or self.status()["waiting"] > before,
              f"'{service}' waits")
        return pending

    def release(self, grant):
        return self.post("/gpu/release", lease=grant["lease"],
                         token=grant["token"])

    def renew(self, grant):
        return self.post("/gpu/renew", lease=grant["lease"],
                         token=grant["token"])

    def ack(self, grant, action, **fields):
        return self.post("/gpu/ack", lease=grant["lease"],
                         token=grant["token"], action=action, **fields)

    def admin(self, action, **body):
        return self.post(f"/gpu/admin/{action}", **body)

    def control(self, service):
        stream = Stream(self, f"/gpu/control/{service}")
        until(lambda: stream.reply is not None, "the stream opens")
        return stream

    def use_vram(self, mib):
        """Let this process use @mib of the simulated card."""
        path = self.gpu / str(os.getpid())
        other = self.gpu / "new"
        other.write_text(f"{mib}\n")
        other.rename(path)


def problem(answer):
    """Return the last part of a problem's type."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer["type"].rpartition("/")[2]


@pytest.fixture
def make(tmp_path):
    """Make coordinators that are stopped at the end."""
    made = []

    def create(name="one", extra="", **settings):
        directory = tmp_path / name
        directory.mkdir()
        coordinator = Coordinator(directory)
        coordinator.configure(extra, **settings)
        made.append(coordinator)
        return coordinator

    yield create
    for coordinator in made:
        coordinator.end()


@pytest.fixture
def coordinator(make):
    """A coordinator of one simulated card, without measurement."""
    return make().start()
