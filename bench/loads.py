"""What runs beside a server to load it: functions in processes of their own, and programs."""

from __future__ import annotations

import ctypes
import platform
import resource
import struct
import subprocess
import time
from collections.abc import Callable
from typing import Any

from conduit.load.process import Counters, Load, LoadError, counters, cpu_s

__all__ = ["Counters", "Load", "LoadError", "counters", "program", "run", "run_promptly"]

# The shortest that there is.
SLICE_NS = 100_000


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
    began, used = time.monotonic(), cpu_s(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=within_s)
    cores = (cpu_s(resource.RUSAGE_CHILDREN) - used) / (time.monotonic() - began)
    return said.stdout, cores
