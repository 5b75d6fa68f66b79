"""One program of a cluster, as a process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

# What it needs to end at once with its children, if there is a signal for that.
QUIT_WITHIN_S = 2.0
LOG_TAIL_LINES = 12
# Of ours programs get nothing: no settings of Conduit, and none of libpq.
ENVIRONMENT = {"PATH": os.defpath}
# prctl(2), PR_SET_PDEATHSIG.
_TELL_OF_PARENTS_DEATH = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(eq=False)
class Program:
    """A program that can be started, asked and ended, again and again.

    Each leads a session of its own, so that a Ctrl-C in the terminal is for us alone. If we are killed, it
    ends by itself.
    """

    name: str
    where: str
    """How it is reached, for people."""
    command: Sequence[str | Path]
    folder: Path
    """Its working directory."""
    log: Path
    """What it says; it goes on where it has ended before."""
    is_ready: Callable[[], bool]
    """Asks it, which takes a second at most."""
    env: dict[str, str] = field(default_factory=dict)
    """Besides what all have."""
    user: str | None = None
    """Who runs it, if not we."""
    stop: signal.Signals = signal.SIGTERM
    """Ends it in good order …"""
    stop_within_s: float = 3.0
    """… within this time."""
    quit: signal.Signals | None = None
    """Ends it and its children at once, if they are not of its process group."""
    ended: str = ""
    """How it has ended, in words."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and go on at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, self.command)),
                cwd=self.folder,
                env=ENVIRONMENT | self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(_end_with_parent, self.stop),
                **as_user(self.user),
            )

    @property
    def pid(self) -> int:
        """Its process id; 0 if it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_running(self) -> bool:
        """Whether its process is there. What it leaves behind when it ends is ended too."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._sweep(self._process)
        return False

    def send_stop(self) -> None:
        """Ask it to end, and go on at once."""
        if self._process is not None and self.is_running:
            self._process.send_signal(self.stop)

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        if self._process is None:
            return
        if self.quit is not None:
            self._process.send_signal(self.quit)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(QUIT_WITHIN_S)
        self._process.kill()
        self._process.wait()
        self._sweep(self._process)

    def log_tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _sweep(self, process: subprocess.Popen[bytes]) -> None:
        code = process.returncode
        self.ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._process = None


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments of Popen that make a process another user's."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def _end_with_parent(stop: signal.Signals) -> None:
    if _LIBC is not None:
        _LIBC.prctl(_TELL_OF_PARENTS_DEATH, stop)
