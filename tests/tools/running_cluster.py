"""`make cluster` as a process, on free ports, and what it has said."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.http import Api
from tests.support.server import clean_environment
from tests.support.wait import until

ROOT = Path(__file__).resolve().parents[2]
READY = "Ctrl-C ends it all"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
_ROW = re.compile(r"^  (\S+) +(\S.*?) {2,}(\d+) +(logs/\S+)$", re.MULTILINE)
_FOLDER = re.compile(r"The files are in (\S+),")


class Row(NamedTuple):
    """One line of its table."""

    where: str
    pid: int
    log: str

    @property
    def port(self) -> int:
        return int(self.where.rpartition(":")[2])


class RunningCluster:
    """One that was started; what it says is in `output`, or goes where `popen` has it."""

    def __init__(self, output: Path, *options: str, **popen: Any) -> None:
        self.output = output
        self.said: Callable[[], str] = lambda: COLOUR.sub("", output.read_text())
        with output.open("wb") as file:
            arguments: dict[str, Any] = {"stdout": file, "stderr": file, **popen}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.cluster", "--port", "0", *options],
                cwd=ROOT,
                env=clean_environment(TMPDIR=tempfile.gettempdir()),
                stdin=arguments.pop("stdin", subprocess.DEVNULL),
                **arguments,
            )

    def wait_until_ready(self) -> None:
        """… and until each node knows of the others."""
        self.wait_until_served()
        nodes = [Api(row.where) for name, row in self.rows.items() if name.startswith("node-")]
        for node in nodes:
            until(lambda node=node: node.get("/health").json["store"]["servers"] == len(nodes))

    def wait_until_served(self) -> None:
        """Also while those of a cluster that was killed are not forgotten yet, which takes half a minute."""
        until(lambda: READY in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    @property
    def rows(self) -> dict[str, Row]:
        return {
            name: Row(where, int(pid), log) for name, where, pid, log in _ROW.findall(self.said())
        }

    @property
    def folder(self) -> Path:
        found = _FOLDER.search(self.said())
        assert found is not None
        return Path(found[1])

    def lives(self, name: str) -> list[int]:
        """The process of this name, and those that it was started again as."""
        again = re.findall(rf"{name} is back after \S+ s, as process (\d+)", self.said())
        return [self.rows[name].pid, *map(int, again)]

    def processes(self) -> set[int]:
        """Of all that it has started, and what these have: its descendants."""
        everybody = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        parents = {pid: int(fields[1]) for pid in everybody if (fields := _fields(pid))}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def end(self) -> int:
        """By Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def end_at_once(self) -> None:
        """If a test has left it; also one that is ending already."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
        if self.process.poll() is None:
            # What it has started ends by itself then.
            self.process.kill()
            self.process.wait()


def alive(pids: set[int]) -> set[int]:
    """Those of them that run. What has ended and was not taken note of by init does not."""
    return {pid for pid in pids if _fields(pid)[:1] not in ([], ["Z"], ["X"])}


def _fields(pid: int) -> list[str]:
    """State, parent and so on of a process, proc(5); empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
