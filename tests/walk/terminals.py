"""Terminals of a reader, in a root: what one types into each, and what it has said."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.wait import until

SAID_MAX_CHARS = 6000


class Failed(AssertionError):
    """A command has failed, or has not said what it should; the text ends with what it said."""


class Terminal:
    """A shell in the root, which ends with the first command that fails."""

    def __init__(self, root: Path, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self._scripts = root / "tmp"
        self._log = root / f"tmp/{name}.log"
        self._count = 0
        with self._log.open("wb") as log:
            self._shell = subprocess.Popen(
                ["chroot", str(root), "/bin/bash", "-e"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )

    def start(self, commands: str) -> None:
        """Type them, and go on."""
        self._count += 1
        script = self._scripts / f"{self.name}-{self._count}"
        script.write_text(commands)
        assert self._shell.stdin is not None
        # What it runs must not read what is typed after it.
        self._shell.stdin.write(f". /tmp/{script.name} </dev/null; echo {self._mark}\n".encode())
        self._shell.stdin.flush()

    def run(self, commands: str, within_s: float) -> str:
        """Type them, wait for their end, and return what they said. Raises Failed."""
        before = len(self.said())
        self.start(commands)
        self.wait_for(f"{self._mark}\n", within_s)
        return self.said()[before:]

    def wait_for(self, text: str, within_s: float) -> None:
        """Wait until it has said that. Raises Failed if it ends before, or takes longer."""
        try:
            until(lambda: text in self.said() or self._shell.poll() is not None, within_s)
        except AssertionError:
            raise Failed(f"{self._tail()}\n{self.name}: no {text!r} after {within_s} s") from None
        if text not in self.said():
            raise Failed(f"{self._tail()}\n{self.name}: exit code {self._shell.returncode}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.killpg(self._shell.pid, signal.SIGINT)

    def said(self) -> str:
        """All of it."""
        return self._log.read_text(errors="replace")

    @property
    def _mark(self) -> str:
        return f"end-of-block-{self._count}"

    def _tail(self) -> str:
        return self.said()[-SAID_MAX_CHARS:]
