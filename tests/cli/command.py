"""The command as its users have it: a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from queue import Empty, Queue
from typing import IO, Any

from tests.support import forkserver, secrets
from tests.support.server import clean_environment
from tests.support.wait import DEADLINE_S

COMMAND = (sys.executable, "-m", "conduit")


class Conduit:
    """Runs `conduit …` against one server, with stdin, stdout and stderr that are no terminals."""

    def __init__(self, url: str) -> None:
        self.env = clean_environment(CONDUIT_URL=url)

    def run(self, *args: str, stdin: str | bytes = b"") -> Done:
        """Run it to its end."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = forkserver.run(["conduit", *args], self.env, given=given, timeout=DEADLINE_S)
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *args: str, stdin: str | bytes = b"") -> Done:
        """Run it; it must succeed."""
        done = self.run(*args, stdin=stdin)
        assert done.code == 0, done
        return done

    def start(self, *args: str, stdout: int = subprocess.PIPE) -> Running:
        """Start it and go on."""
        return Running([*COMMAND, *args], self.env, stdout)

    def subscribe(self, *args: str, stdout: int = subprocess.PIPE) -> Running:
        """Start `conduit sub` and wait until it says that it is subscribed."""
        running = self.start("sub", *args, stdout=stdout)
        while (line := running.error_line()).startswith("created "):
            continue
        assert "subscribed to" in line
        return running


class Done:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on stdout, one per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A command that runs. Use it as a context manager: it is killed at the end."""

    def __init__(self, command: list[str], env: dict[str, str], stdout: int) -> None:
        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        self._out = _lines(self.process.stdout)
        self._err = _lines(self.process.stderr)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def write(self, text: str) -> None:
        """Write to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def line(self) -> Any:
        """The next line of its stdout, decoded."""
        return json.loads(_next(self._out))

    def error_line(self) -> str:
        """The next line of its stderr."""
        line = _next(self._err)
        secrets.look("stderr of a command", line)
        return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(DEADLINE_S)


def _lines(stream: IO[bytes] | None) -> Queue[str]:
    """Lines as they come; the empty text is the end."""
    lines: Queue[str] = Queue()

    def read() -> None:
        for line in stream or ():
            lines.put(line.decode())
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return lines


def _next(lines: Queue[str]) -> str:
    try:
        return lines.get(timeout=DEADLINE_S)
    except Empty:
        raise AssertionError(f"no line in {DEADLINE_S} s") from None
