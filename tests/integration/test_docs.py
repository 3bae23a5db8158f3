"""Run what the documentation tells people to run, literally (A9, B1, B5).

What the marks of the blocks mean is in CONTRIBUTING.md, under "Examples in the
documentation".
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import coordinator  # noqa: E402  (found through the line above)

SECONDS_MAX = 120

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```(\S+) (run|output)\n(.*?)^```$",
                   re.MULTILINE | re.DOTALL)


class Block:
    """A marked block of a page and, perhaps, what it has to print."""

    def __init__(self, page, text, match):
        line = text.count("\n", 0, match.start()) + 1
        self.place = f"{page.relative_to(ROOT)}:{line}"
        self.language = match[1]
        self.text = match[3]
        self.end = match.end()
        self.output = None


def blocks_of(page):
    """Return the blocks of @page that are to run, in order."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in FENCE.finditer(text):
        if match[2] == "run":
            blocks.append(Block(page, text, match))
        else:
            between = text[blocks[-1].end:match.start()]
            assert not between.strip(), "an output follows its block directly"
            blocks[-1].output = match[3]
    return blocks


MARKED = [page for page in PAGES if blocks_of(page)]


def pattern_of(output):
    """Return the expression that a printed output must match."""
    return ".*".join(re.escape(part) for part in output.strip().split("…"))


@pytest.fixture(name="running")
def fixture_running(tmp_path):
    """A fresh coordinator, and an environment in which the printed address
    and the printed name of the program are its own."""
    it = coordinator.Coordinator()
    try:
        it.start()
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/gpucoord").symlink_to(os.path.abspath(it.binary))
        (tmp_path / ".curlrc").write_text(
            f'connect-to = "127.0.0.1:4780:127.0.0.1:{it.port}"\n')
        env = it.environment()
        env["CURL_HOME"] = str(tmp_path)
        env["PATH"] = f"{tmp_path / 'bin'}:{env['PATH']}"
        yield it, env
    finally:
        it.close()


def run_blocks(blocks, directory, env):
    """Run @blocks in one shell; return a list of (exit status, output)."""
    script = []
    for number, block in enumerate(blocks):
        file = directory / f"block-{number}"
        file.write_text(block.text, encoding="utf-8")
        command = {"sh": f". {file}",
                   "yaml": f"gpucoord check-config {file}"}[block.language]
        script.append(f"{{ {command}\n}} >{file}.out 2>&1; "
                      f"echo $? >{file}.status")
    work = directory / "work"
    work.mkdir()
    with subprocess.Popen(["bash", "-c", "\n".join(script)], cwd=work, env=env,
                          stdin=subprocess.DEVNULL,
                          start_new_session=True) as shell:
        try:
            shell.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass  # The block that hangs has no status.
        finally:
            # What runs in the background, or nothing any more.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    return [outcome(directory / f"block-{number}")
            for number in range(len(blocks))]


def outcome(file):
    """Return what a block left behind; its status is None if it hung."""
    status = file.with_name(file.name + ".status")
    output = file.with_name(file.name + ".out")
    return (int(status.read_text()) if status.exists() else None,
            output.read_text(encoding="utf-8") if output.exists() else "")


@pytest.mark.parametrize("page", MARKED,
                         ids=[str(page.relative_to(ROOT)) for page in MARKED])
def test_a_page_does_what_it_says(page, running, tmp_path):
    """Every block runs, and prints what the page says that it prints."""
    it, env = running
    blocks = blocks_of(page)
    for block, (status, output) in zip(blocks, run_blocks(blocks, tmp_path,
                                                          env)):
        said = f"{block.place}: status {status}, printed:\n{output}"
        assert status == 0, f"{said}\n{it.log.read_text(errors='replace')}"
        if block.output is not None:
            assert re.fullmatch(pattern_of(block.output), output.strip(),
                                re.DOTALL), f"{said}\nnot:\n{block.output}"


def test_the_readme_has_its_three_pages():
    """A9, B1 with its exact three fields, and a pause are in the README."""
    text = "".join(block.text for block in blocks_of(ROOT / "README.md"))
    assert ('{"service_id":"gemma-service","priority":0,"timeout_ms":5000}'
            in text)
    for part in ("turn C chatbot", "$at/control/transcriber",
                 '\\"action\\":\\"paused\\"', "event: resume"):
        assert part in text
