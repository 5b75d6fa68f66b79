"""Load runs in processes of its own, and says how busy it was."""

from __future__ import annotations

import ctypes
import multiprocessing
import platform
import resource
import struct
import subprocess
import time
import traceback
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection
from typing import Any

# Nothing of the parent is inherited: no socket, no import, no memory that the collector walks.
_SPAWN = multiprocessing.get_context("spawn")
RESULT_WITHIN_S = 300.0
# The shortest that there is.
SLICE_NS = 100_000

Counters = MutableSequence[int]


def counters(count: int) -> Counters:
    """So many integers, all 0, that this process and its loads see: an argument of `Load`.

    Each is written whole, so that one writer and any number of readers need no lock.
    """
    numbers: Counters = _SPAWN.RawArray("q", count)
    return numbers


class LoadError(Exception):
    """A load process failed; the text is its traceback."""


class Load:
    """A module-level function running in a process of its own; use as a context manager.

    `go` lets it begin after it was prepared: the function is called as `function(ready, *args)`,
    prepares what is not measured, calls `ready()` — which returns when `go` is called — and then does
    what is measured. Its arguments and result must be picklable.
    """

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self._pipe, child = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_main, args=(child, function, args), daemon=True)
        self._process.start()
        child.close()
        self.cores = 0.0
        """CPU seconds per second between `ready` and the end; known with the result."""

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def wait_ready(self, within_s: float = RESULT_WITHIN_S) -> None:
        """Wait until the function has called `ready`."""
        kind, value = self._receive(within_s)
        if kind != "ready":
            raise LoadError(value if kind == "error" else "the load ended before it was ready")

    def go(self) -> None:
        """Let it begin. Raises LoadError if the process has died."""
        try:
            self._pipe.send("go")
        except OSError:
            raise LoadError("the load process has died") from None

    def result(self, within_s: float = RESULT_WITHIN_S) -> Any:  # noqa: ANN401 - the function's own
        """Wait for the end. Raises LoadError if it failed or takes longer."""
        kind, value = self._receive(within_s)
        if kind != "result":
            raise LoadError(value)
        result, self.cores = value
        return result

    def _receive(self, within_s: float) -> tuple[str, Any]:
        if not self._pipe.poll(within_s):
            raise LoadError(f"no sign of the load for {within_s} s")
        try:
            received: tuple[str, Any] = self._pipe.recv()
        # A reset instead of an end: it died with something unread, such as our "go".
        except (EOFError, OSError):
            raise LoadError("the load process has died") from None
        return received


def run_promptly() -> None:
    """Have this process run as soon as it wakes, even if both cores are busy: sched_setattr(2).

    A process that asks for short time slices may interrupt those with longer ones, from Linux 6.12 on;
    before that, or on a processor whose number of the call is not known here, nothing changes.
    """
    call = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
    if call is not None:
        # struct sched_attr: its size, then policy, flags, nice, priority, slice (ns), and unused ones.
        attributes = struct.pack("=IIQiIQQQII", 56, 0, 0, 0, 0, SLICE_NS, 0, 0, 0, 0)
        ctypes.CDLL(None).syscall(call, 0, attributes, 0)


def run(function: Callable[..., Any], *args: object) -> tuple[Any, float]:
    """Run one load from beginning to end; returns its result and the cores it used."""
    with Load(function, *args) as load:
        load.wait_ready()
        load.go()
        return load.result(), load.cores


def program(command: list[str], within_s: float) -> tuple[str, float]:
    """Run a load that is a program; returns what it printed and the cores it used.

    Raises subprocess.CalledProcessError, or TimeoutExpired, after which it is killed.
    """
    began, used = time.monotonic(), _cpu_s(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=within_s)
    cores = (_cpu_s(resource.RUSAGE_CHILDREN) - used) / (time.monotonic() - began)
    return said.stdout, cores


def _main(pipe: Connection, function: Callable[..., Any], args: tuple[object, ...]) -> None:
    began = [time.monotonic(), _cpu_s()]

    def ready() -> None:
        pipe.send(("ready", None))
        pipe.recv()
        began[:] = [time.monotonic(), _cpu_s()]

    try:
        result = function(ready, *args)
        cores = (_cpu_s() - began[1]) / max(time.monotonic() - began[0], 1e-9)
        pipe.send(("result", (result, cores)))
    except BaseException:  # noqa: BLE001 - the root of a process: the parent raises it
        pipe.send(("error", traceback.format_exc()))


def _cpu_s(whose: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime
