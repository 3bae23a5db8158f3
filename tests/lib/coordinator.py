"""A real coordinator in a directory of its own, for tests and benchmarks."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 20

CONFIG = """\
listen: 127.0.0.1:0
socket: {home}/gpucoord/gpucoord.sock
store: sqlite:{home}/queue.db
gpus: {{simulated: {gpus}, dir: {home}/vram}}
{more}
"""


def program():
    """Return the path of the program under test."""
    return os.environ.get("GPUCOORD_BIN", str(ROOT / "build/src/cli/gpucoord"))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Coordinator:
    """A coordinator on simulated cards; its files stay over a restart."""

    def __init__(self, gpus=(24576,), more="", binary=None):
        self.binary = binary or program()
        # Short, since a path of a Unix socket has 107 bytes at most.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gpucoord-"))
        self.port = None  # Of the loopback; known once it serves.
        self.socket = self.home / "gpucoord/gpucoord.sock"
        self.config = self.home / "gpucoord.yaml"
        self.store = self.home / "queue.db"
        self.log = self.home / "log"
        self.process = None
        (self.home / "vram").mkdir()
        self.config.write_text(CONFIG.format(
            home=self.home, gpus=list(gpus), more=more))

    def environment(self):
        """Return an environment in which `gpucoord` finds this coordinator."""
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.home),
                "GPUCOORD_URL": f"unix://{self.socket}"}

    def start(self, env=None):
        """Start it and wait until it answers; raise if it does not."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**self.environment(), **(env or {})})
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the coordinator did not start:\n"
                                   + self.log.read_text(errors="replace"))
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/healthz", timeout=5)[0] == 200:
                    self.port = self.port_told()
                    return self
            time.sleep(0.01)

    def port_told(self):
        """Return the port that the log names last."""
        return int(re.findall(r"http://127\.0\.0\.1:(\d+)",
                              self.log.read_text(errors="replace"))[-1])

    def call(self, method, path, body=None, timeout=60):
        """Make one call over the Unix socket; return (status, object)."""
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path,
                               None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(text) if is_json else text

    def stop(self):
        """End it with SIGTERM; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def close(self):
        """End it in any case, and remove its files."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
