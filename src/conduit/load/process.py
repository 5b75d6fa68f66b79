"""Work in processes of its own, which says how busy it was."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection, wait
from typing import Any

from conduit.errors import ConduitError

# Nothing of the parent is inherited: no socket, no import, no memory that the collector walks.
_SPAWN = multiprocessing.get_context("spawn")
RESULT_WITHIN_S = 300.0

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
        """Wait until the function has called `ready`. Raises LoadError, and ConduitError if it did."""
        kind, value = self._receive(within_s)
        if kind == "refused":
            raise value
        if kind != "ready":
            raise LoadError(value if kind == "error" else "the load ended before it was ready")

    def go(self) -> None:
        """Let it begin. Raises LoadError if the process has died."""
        try:
            self._pipe.send("go")
        except OSError:
            raise LoadError("the load process has died") from None

    def result(self, within_s: float = RESULT_WITHIN_S) -> Any:  # noqa: ANN401 - the function's own
        """Wait for the end. Raises LoadError if it failed or takes longer, and ConduitError if it did."""
        kind, value = self._receive(within_s)
        if kind == "refused":
            raise value
        if kind != "result":
            raise LoadError(value)
        result, self.cores = value
        return result

    def has_news(self) -> bool:
        """Whether `wait_ready` or `result` need not wait."""
        return self._pipe.poll()

    def _receive(self, within_s: float) -> tuple[str, Any]:
        if not self._pipe.poll(within_s):
            raise LoadError(f"no sign of the load for {within_s} s")
        try:
            received: tuple[str, Any] = self._pipe.recv()
        # A reset instead of an end: it died with something unread, such as our "go".
        except (EOFError, OSError):
            raise LoadError("the load process has died") from None
        return received


def _main(pipe: Connection, function: Callable[..., Any], args: tuple[object, ...]) -> None:
    # These come to all processes of a terminal; the parent says when it is over.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    began = [time.monotonic(), cpu_s()]

    def ready() -> None:
        pipe.send(("ready", None))
        pipe.recv()
        began[:] = [time.monotonic(), cpu_s()]

    try:
        result = function(ready, *args)
        cores = (cpu_s() - began[1]) / max(time.monotonic() - began[0], 1e-9)
        pipe.send(("result", (result, cores)))
    except ConduitError as error:
        pipe.send(("refused", error))
    except BaseException:  # noqa: BLE001 - the root of a process: the parent raises it
        pipe.send(("error", traceback.format_exc()))


def _end_with_parent() -> None:
    """Also if that is killed: nobody would end the load, or hear what comes of it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def cpu_s(whose: int = resource.RUSAGE_SELF) -> float:
    """CPU seconds of this process, or of its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime
