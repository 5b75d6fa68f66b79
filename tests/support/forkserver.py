"""Processes of the package without the second that Python takes to load it: forks of one that has loaded it.

What differs from `python -m PROGRAM …`: /proc shows the command line and the environment of the process that
it was forked from, hashes of texts are the same in all forks, and Python's own options are (`PYTHON…`).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from tests.support import secrets

# Of the process that this is; a child is given what it needs of it.
ENVIRONMENT = os.environ  # noqa: TID251 - a child needs a PATH
LOADED_WITHIN_S = 120.0
REQUEST_MAX_BYTES = 1 << 20
PR_SET_PDEATHSIG = 1
# Standard input, output, error, and where the exit code is written to.
FILES = 4


class Forked:
    """One of them, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, or None while it runs; that of a signal is negative."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit code. Raises `subprocess.TimeoutExpired`."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, within_s: float | None) -> int | None:
        if self.returncode is None and self._is_over(within_s):
            # One thread may wait while another one kills.
            with self._lock:
                if self.returncode is None:
                    told = os.read(self._ended, 100)
                    os.close(self._ended)
                    # Nothing, if whoever it was forked from was killed, and it with that.
                    self.returncode = int(told) if told else -signal.SIGKILL
        return self.returncode

    def _is_over(self, within_s: float | None) -> bool:
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        return bool(poll.poll(None if within_s is None else within_s * 1000))


class _Loaded:
    """The process that others are forked from; it ends with this one."""

    def __init__(self) -> None:
        self._own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._own.settimeout(LOADED_WITHIN_S)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                cwd=Path(__file__).parents[2],
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._own.close()
        self._process.wait()

    def fork(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], files: Sequence[int]
    ) -> Forked:
        request = json.dumps({"command": command, "cwd": str(cwd), "env": dict(env)}).encode()
        ended, end = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._own, [request], [*files, end])
                told = self._own.recv(100)
        except TimeoutError:
            # What it answers later would be taken for the answer to the next one. It ends by this, and all
            # forks with it.
            self._own.close()
            raise
        finally:
            os.close(end)
        assert told, "the process that servers are forked from has ended; its stderr says why"
        return Forked(int(told), ended)


@cache
def _loaded() -> _Loaded:
    return _Loaded()


def fork(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: int) -> Forked:
    """Run `python -m` with `command`, the module's name and its arguments. Nothing is on its stdin, and `log`
    is its stdout and stderr, a file descriptor.
    """
    with Path(os.devnull).open("rb") as nothing:
        return _fork(command, cwd, env, [nothing.fileno(), log, log])


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    given: bytes = b"",
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end with `given` on its stdin, a pipe. Raises `subprocess.TimeoutExpired`."""
    read, write = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = _fork(command, cwd or Path.cwd(), env, [read, out.fileno(), err.fileno()])
        finally:
            os.close(read)
        threading.Thread(target=_give, args=(given, write), daemon=True).start()
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        said, told = (_all_of(file) for file in (out, err))
    secrets.look(f"stderr of {list(command)!r:.100}", told)
    return subprocess.CompletedProcess(command, code, said, told)


def _give(given: bytes, write: int) -> None:
    # It may have ended without reading all.
    with contextlib.suppress(BrokenPipeError), os.fdopen(write, "wb") as file:
        file.write(given)


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _fork(command: Sequence[str], cwd: Path, env: Mapping[str, str], files: list[int]) -> Forked:
    # What looks for tests that start a process hears of it.
    sys.audit("subprocess.Popen", sys.executable, list(command), str(cwd), None)
    return _loaded().fork(command, cwd, env, files)


# In the process that others are forked from ---------------------------------------------------------


def _load() -> None:
    import conduit

    for module in pkgutil.walk_packages(conduit.__path__, "conduit."):
        if not module.name.endswith("__main__"):
            # What needs an extra that is not installed is loaded by nobody.
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()


class _Children:
    """Those that run, by a file descriptor that is readable at their end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._running: dict[int, tuple[int, int]] = {}

    def serve(self) -> tuple[bytes, list[int]] | None:
        """Fork whenever asked to. Returns in each fork, with what was asked and the files that came with it;
        and with None when nobody is left who could ask.
        """
        while True:
            for key, _ in self._selector.select():
                if key.fd != self._control.fileno():
                    self._reap(key.fd)
                    continue
                request, files = self._asked()
                if not request:
                    return None
                pid = os.fork()
                if not pid:
                    self._forget()
                    os.close(files.pop())
                    return request, files
                self._run(pid, files)

    def _asked(self) -> tuple[bytes, list[int]]:
        with contextlib.suppress(ConnectionResetError):
            return socket.recv_fds(self._control, REQUEST_MAX_BYTES, FILES)[:2]
        return b"", []

    def _run(self, pid: int, files: list[int]) -> None:
        end = files.pop()
        for file in files:
            os.close(file)
        watched = os.pidfd_open(pid)
        self._running[watched] = pid, end
        self._selector.register(watched, selectors.EVENT_READ)
        self._control.send(str(pid).encode())

    def _reap(self, watched: int) -> None:
        pid, end = self._running.pop(watched)
        self._selector.unregister(watched)
        os.close(watched)
        _, status = os.waitpid(pid, 0)
        # Nobody reads it if the test has forgotten its server.
        with contextlib.suppress(BrokenPipeError):
            os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(end)

    def _forget(self) -> None:
        """A fork has nothing of what the others need."""
        self._selector.close()
        self._control.close()
        for watched, (_, end) in self._running.items():
            os.close(watched)
            os.close(end)


def _become(request: bytes, files: list[int]) -> None:
    asked = json.loads(request)
    # It ends when whoever it was forked from does.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    ENVIRONMENT.clear()
    ENVIRONMENT.update(asked["env"])
    time.tzset()
    for module in tuple(sys.modules.values()):
        for dice in vars(module).values():
            if isinstance(dice, random.Random):
                dice.seed()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    program, *arguments = asked["command"]
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def main() -> None:
    """Load everything, and fork until whoever started this ends."""
    # Of a terminal's Ctrl-C all hear; this one has nothing to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    _load()
    asked = _Children(control).serve()
    if asked is not None:
        _become(*asked)


if __name__ == "__main__":
    main()
