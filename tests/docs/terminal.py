"""Commands of a page, on a terminal, in one working directory, against one server."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.docs.blocks import Step
from tests.support.server import RunningServer, clean_environment, free_port
from tests.support.wait import DEADLINE_S

COLUMNS = 130
HOST = re.compile(r"(?:localhost|127\.0\.0\.1):8080")
# Where pages of the reader's are.
PAGES = "localhost:5173"
# What differs from run to run. The longer first.
VARYING = (
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    r"\d\d:\d\d:\d\d\.\d{3}Z",
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"\b[0-9a-f]{16}\b",
    r"\d+ ms",
)


class Begun:
    """A command on a terminal of its own."""

    def __init__(self, command: str, folder: Path, env: dict[str, str]) -> None:
        self.command = command
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.output = ""

    def read(self, within_s: float) -> bool:
        """Take what it prints next. False if it prints nothing any more, or not in time."""
        if not select.select([self._master], [], [], within_s)[0]:
            return False
        try:
            read = os.read(self._master, 65536)
        except OSError:  # Linux' end of a terminal
            return False
        self.output += read.decode().replace("\r\n", "\n")
        return bool(read)

    def end(self) -> int:
        """Wait for its end. Returns the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.read(max(deadline - time.monotonic(), 0.0)):
            pass
        try:
            return self.process.wait(max(deadline - time.monotonic(), 0.1))
        finally:
            self.kill()

    def kill(self) -> None:
        """With all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


class Terminals:
    """Those of one page. Use it as a context manager: what runs on is ended with it."""

    def __init__(self, folder: Path, server: RunningServer, page_port: int = 0, **env: str) -> None:
        self.folder = folder
        self._pages = f"localhost:{page_port or free_port()}"
        self._place = f"127.0.0.1:{server.port}"
        programs = str(Path(sys.executable).parent)
        self._env = clean_environment(CONDUIT_URL=server.url, NO_COLOR="1", TERM="dumb", **env)
        self._env["PATH"] = programs + os.pathsep + self._env["PATH"]
        self._running: list[tuple[Step, Begun]] = []

    def __enter__(self) -> Terminals:
        return self

    def __exit__(self, *exc: object) -> None:
        for _, begun in self._running:
            begun.kill()

    def save(self, name: str, text: str) -> None:
        """Put a file of the page where its commands find it."""
        (self.folder / name).write_text(self._here(text))

    def run(self, step: Step) -> None:
        """Run a command to its end; what is shown has to come, and the exit code has to be 0."""
        begun = self._begin(step)
        code = begun.end()
        assert code == 0, f"$ {step.command}\n{begun.output}exit code {code}"
        if step.shown is not None:
            assert is_as_shown(self._here(step.shown), begun.output), said(step, begun)

    def begin(self, step: Step) -> None:
        """Begin one that runs on, as a subscriber, and wait until it says the first line that is shown."""
        begun = self._begin(step)
        self._running.append((step, begun))
        first = (step.shown or "").partition("\n")[0]
        while not begun.output or self._here(first) not in begun.output:
            assert begun.read(DEADLINE_S), said(step, begun)

    def finish(self) -> None:
        """What runs on has to print all that is shown of it; then it is ended."""
        for step, begun in self._running:
            deadline = time.monotonic() + DEADLINE_S
            while not is_as_shown(self._here(step.shown or "…"), begun.output):
                assert begun.read(max(deadline - time.monotonic(), 0.0)), said(step, begun)
            begun.kill()
        self._running.clear()

    def _begin(self, step: Step) -> Begun:
        return Begun(self._here(step.command), self.folder, self._env)

    def _here(self, text: str) -> str:
        """With the address of the server that runs, and the commands where the tests have them."""
        text = text.replace('"localhost", 5173', f'"localhost", {self._pages.rpartition(":")[2]}')
        text = HOST.sub(self._place, text).replace(PAGES, self._pages)
        return text.replace(".venv/bin/", "")


def is_as_shown(shown: str, output: str) -> bool:
    """Whether a command has printed what a page shows. `…` is anything, blanks are as many as there are, and
    times, ids and durations are others."""
    pieces = re.split(f"(…|{'|'.join(VARYING)})", shown)
    pattern = "".join(_like(piece) for piece in pieces)
    return re.fullmatch(pattern, output.strip("\n"), re.DOTALL) is not None


def _like(piece: str) -> str:
    """A pattern of what may stand in its place."""
    if piece == "…":
        return ".*?"
    for varying in VARYING:
        if re.fullmatch(varying, piece):
            return varying
    return r"[ \t]+".join(map(re.escape, re.split(r"[ \t]+", piece)))


def said(step: Step, begun: Begun) -> str:
    """What is wrong, for a person."""
    return f"$ {step.command}\n--- shown\n{step.shown}\n--- printed\n{begun.output}"
