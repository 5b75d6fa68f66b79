"""What a figure depends on beside the work: the machine and the versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

PACKAGES = ("conduit-events", "uvloop", "httptools", "picows", "msgspec", "apsw", "uuid-utils")
TOOLS = {
    "wrk": ["wrk", "--version"],
    "redis": ["redis-server", "--version"],
}
NATS = Path(__file__).parent.parent / ".venv" / "bin" / "nats-server"


@functools.cache
def conditions() -> dict[str, object]:
    """Date, machine and versions, as they stand in every line."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | _tools(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _tools() -> dict[str, str]:
    return {
        name: _version(command)
        for name, command in {**TOOLS, "nats": [str(NATS), "--version"]}.items()
        if shutil.which(command[0])
    }


def _version(command: list[str]) -> str:
    """The first word with a digit and a dot in what the command prints about itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).replace("v=", "v").split()
    numbered = [word.lstrip("v") for word in words if "." in word and any(map(str.isdigit, word))]
    return numbered[0] if numbered else "unknown"
