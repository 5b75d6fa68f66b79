"""A cluster that runs: started, looked after, ended in order."""

from __future__ import annotations

import contextlib
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from tools.cluster import parts, terminal
from tools.cluster.folder import Folder, Unusable
from tools.cluster.program import Program

POLL_S = 0.05
READY_WITHIN_S = 60.0
# What has died is started again after this time, and if it does not get ready, after twice as long …
RESTART_AFTER_S = 1.0
# … up to this.
RESTART_AFTER_MAX_S = 30.0
# How they end.
IN_ORDER = ("nodes", "PostgreSQL", "Redis", "nginx")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody has asked for the end while something was waited for."""


class Asked:
    """Whether somebody has asked for the end: by Ctrl-C, SIGTERM or SIGHUP.

    Signals are noted only, so that none comes between a process's start and its being known.
    """

    def __init__(self) -> None:
        self.to_end = False
        self.to_hurry = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, and give them back."""
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # Other signals may come twice, by way of make, and mean the same.
        self.to_hurry |= self.to_end and number == signal.SIGINT
        self.to_end = True


@dataclass
class Watched:
    """One of those that are looked after. Times are of `time.monotonic`."""

    program: Program
    died_at: float | None = None
    """None: it runs."""
    start_at: float | None = None
    """None: it was started."""
    pause_s: float = RESTART_AFTER_S


class Cluster:
    """nginx at `ports[0]`, a node at each of the others, their databases in `folder`."""

    def __init__(
        self, folder: Folder, ports: Sequence[int], asked: Asked, *, with_auth: bool
    ) -> None:
        self._folder = folder
        self._port, *self._node_ports = ports
        self._asked = asked
        self._with_auth = with_auth
        self._groups: dict[str, list[Program]] = {name: [] for name in IN_ORDER}

    def run(self) -> int:
        """Until somebody asks for the end; returns the exit code. Nothing of it runs then.

        Raises Unusable if it cannot be started.
        """
        try:
            with contextlib.suppress(Interrupted):
                self._start()
                self._look_after()
        finally:
            self._end()
        return 130 if self._asked.to_hurry else 0

    def _start(self) -> None:
        began = time.monotonic()
        count = len(self._node_ports)
        nodes_are = f"{count} nodes" if count > 1 else "a node"
        terminal.say(f"cluster: starting PostgreSQL, Redis, {nodes_are} and nginx: some seconds")
        groups, folder = self._groups, self._folder
        groups["PostgreSQL"], groups["Redis"] = [parts.postgresql(folder)], [parts.redis(folder)]
        self._bring_up(*groups["PostgreSQL"], *groups["Redis"])
        url, secret = parts.create_database(folder), secrets.token_urlsafe(32)
        shared = parts.of_all_nodes(url, secret, folder, with_auth=self._with_auth)
        nodes = [parts.node(n, port, shared, folder) for n, port in enumerate(self._node_ports, 1)]
        groups["nodes"] = nodes
        self._bring_up(*nodes)
        # Not before: it leaves a node out for some seconds that it could not reach.
        front = parts.nginx(self._port, self._node_ports, folder)
        groups["nginx"] = [front]
        self._bring_up(front)
        terminal.say(f"cluster: ready after {time.monotonic() - began:.1f} s")
        terminal.show([front, *nodes, *groups["PostgreSQL"], *groups["Redis"]], folder)
        if self._with_auth:
            terminal.show_key(folder)
        terminal.show_demonstration(nodes[0], nodes[:2][-1], front)

    def _bring_up(self, *programs: Program) -> None:
        """Start these together, and wait for all."""
        self._check_asked()
        deadline = time.monotonic() + READY_WITHIN_S
        for program in programs:
            program.start()
        waiting = [*programs]
        while waiting := [each for each in waiting if not each.is_ready()]:
            for program in waiting:
                if not program.is_running:
                    raise Unusable(_told(program, f"has ended ({program.ended})"))
            if time.monotonic() > deadline:
                raise Unusable(_told(waiting[0], f"is not ready after {READY_WITHIN_S:.0f} s"))
            self._pause()

    def _look_after(self) -> None:
        """Start again what dies, and say so."""
        watched = [Watched(program) for group in self._groups.values() for program in group]
        while True:
            for each in watched:
                self._look_at(each, time.monotonic())
            self._pause()

    def _look_at(self, each: Watched, now: float) -> None:
        program = each.program
        if each.died_at is None:
            if not program.is_running:
                each.died_at, each.start_at = now, now + each.pause_s
                said = f"has ended ({program.ended}): it is started again"
                terminal.event(program.name, said, terminal.BAD)
        elif each.start_at is not None:
            if now >= each.start_at:
                each.start_at = None
                program.start()
        elif not program.is_running:
            if each.pause_s == RESTART_AFTER_S:
                said = f"has ended again ({program.ended}): see {program.log}"
                terminal.event(program.name, said, terminal.BAD)
            each.pause_s = min(2 * each.pause_s, RESTART_AFTER_MAX_S)
            each.start_at = now + each.pause_s
        elif program.is_ready():
            said = f"is back after {now - each.died_at:.1f} s, as process {program.pid}"
            terminal.event(program.name, said, terminal.GOOD)
            each.died_at, each.pause_s = None, RESTART_AFTER_S

    def _pause(self) -> None:
        time.sleep(POLL_S)
        self._check_asked()

    def _check_asked(self) -> None:
        if self._asked.to_end or terminal.is_gone():
            raise Interrupted

    # The end ----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """One group after the other; all at once if somebody is in a hurry."""
        began = time.monotonic()
        if self._asked.to_end:
            terminal.say("\ncluster: ending in order; Ctrl-C once more ends it at once")
        for group in self._groups.values():
            self._end_group(group)
        if self._asked.to_end:
            took_s = time.monotonic() - began
            kept = f"; its files are in {self._folder.path}" if self._folder.is_kept else ""
            terminal.say(f"cluster: ended after {took_s:.1f} s{kept}")

    def _end_group(self, programs: Sequence[Program]) -> None:
        """Together."""
        for program in programs:
            program.send_stop()
        deadline = time.monotonic() + max((each.stop_within_s for each in programs), default=0)
        while not self._asked.to_hurry and any(each.is_running for each in programs):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        for program in programs:
            if program.is_running:
                if not self._asked.to_hurry:
                    within = f"{program.stop_within_s:.0f} s"
                    terminal.say(f"cluster: {program.name} has not ended in {within}: killed")
                program.kill()


def _told(program: Program, what: str) -> str:
    return f"{program.name} {what}; its log ends so:\n{program.log_tail()}"
