"""The process that `conduit serve --workers N` is: it starts N workers, and sees to it that they are there.

It serves nobody, has no loop of asyncio and no thread, and so little to do that little can happen to it. It
waits for four things at once: signals, which it passes on; what workers say; the ends of workers; and the
times at which it has promised itself to do something.

The first worker is started alone: it brings the schema up to date, makes the first key, and says what is
wrong with the settings, if anything is. When it listens, the others are started.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
from contextlib import ExitStack
from random import Random
from time import monotonic

from conduit import redaction
from conduit.core.restarts import WAIT_MAX_S, Restarts
from conduit.server.logs import configure_logging
from conduit.server.workers import telling
from conduit.server.workers.children import Child, Signals
from conduit.server.workers.direct import DirectWriter
from conduit.server.workers.places import Place, places, with_secret
from conduit.server.workers.ports import reserve
from conduit.server.workers.worker import Worker
from conduit.settings import Settings

# The process of a worker whose settings cannot be used ends with it: to start it again changes nothing.
UNUSABLE = 2
# A shell's, of what a signal has ended.
BY_SIGNAL = 128
# Beyond the time that workers have for their own end.
GRACE_S = 5.0

logger = logging.getLogger(__name__)


def supervise(settings: Settings, *, may_color: bool = True) -> tuple[Settings, Worker] | int:
    """Run workers until they are to end. Returns an exit code; and in each worker, which is a fork of this
    process, with which settings it is which one: it has to serve then. Raises OSError if a port is not free.

    This process must have no other thread, and no loop.
    """
    settings = with_secret(settings)
    redaction.know(*settings.secrets)
    configure_logging(
        settings.log_level, settings.log_format, may_color=may_color, writer=DirectWriter
    )
    with ExitStack() as ports:
        settings, found = _reserved(settings, ports)
        supervisor = Supervisor(settings, found)
        became = supervisor.run()
        return became if isinstance(became, int) else (settings, became)


def _reserved(settings: Settings, ports: ExitStack) -> tuple[Settings, list[Place]]:
    """With all ports as they are, which are kept until the end of `ports`. Raises OSError."""

    def kept(host: str, port: int) -> int:
        listener = ports.enter_context(reserve(host, port))
        return int(listener.getsockname()[1])

    shared = kept(settings.host, settings.port)
    found = []
    for place in places(settings):
        admin = place.admin_port
        if admin is not None:
            admin = kept(settings.admin_host, admin)
        found.append(place._replace(port=kept(place.host, place.port), admin_port=admin))
    return settings.model_copy(update={"port": shared}), found


class Supervisor:
    """Of workers at these places. Call `run` once."""

    def __init__(self, settings: Settings, workers: list[Place]) -> None:
        self._settings = settings
        self._places = workers
        self._restarts = Restarts(len(workers))
        self._dice = Random()
        self._selector = selectors.PollSelector()
        numbers = {signal.SIGTERM, signal.SIGINT}
        # nohup has it ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.add(signal.SIGHUP)
        self._signals = Signals(frozenset(numbers))
        # By number.
        self._children: dict[int, Child] = {}
        self._starts_at: dict[int, float] = {1: 0.0}
        self._has_served = False
        self._told_all = False
        # The first signal; whether all are to end, for whatever reason; and when whoever is still there is
        # killed.
        self._signal: signal.Signals | None = None
        self._is_ending = False
        self._kill_at: float | None = None
        self._code = 0

    def run(self) -> Worker | int:
        """See `supervise`."""
        with self._signals.watched():
            self._selector.register(self._signals.woken, selectors.EVENT_READ)
            while self._children or self._starts_at:
                if (worker := self._start_due()) is not None:
                    return worker
                self._turn()
        return self._ended()

    def _turn(self) -> None:
        """Wait until something happens, and act on it."""
        for key, _ in self._selector.select(self._wait_s()):
            if isinstance(key.data, Child):
                self._hear(key.data)
        for number in self._signals.come():
            if number != signal.SIGCHLD:
                self._pass_on(number)
        for child in [*self._children.values()]:
            if (code := child.reaped()) is not None:
                self._lose(child, code)
        if self._kill_at is not None and monotonic() >= self._kill_at:
            self._kill()

    def _wait_s(self) -> float | None:
        due = [*self._starts_at.values()]
        if self._kill_at is not None:
            due.append(self._kill_at)
        return max(0.0, min(due) - monotonic()) if due else None

    # Starting -------------------------------------------------------------------------------------

    def _start_due(self) -> Worker | None:
        """Start whom it is time for; in a worker, which one it is."""
        now = monotonic()
        for number in [each for each, at in self._starts_at.items() if at <= now]:
            del self._starts_at[number]
            if (worker := self._start(number)) is not None:
                return worker
        return None

    def _start(self, number: int) -> Worker | None:
        ours, theirs = socket.socketpair()
        try:
            pid = self._signals.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._put_off(number, error)
            return None
        if not pid:
            # Others' ears would not hear that the supervisor is gone as long as somebody has its mouth.
            ours.close()
            for child in self._children.values():
                child.channel.close()
            self._selector.close()
            return Worker(number, self._places[number - 1], theirs, tells=not self._has_served)
        theirs.close()
        ours.setblocking(False)
        child = self._children[number] = Child(number, pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, child)
        return None

    def _put_off(self, number: int, error: OSError) -> None:
        """Raises the error if it is the first start of all."""
        if not self._has_served:
            raise error
        logger.error(telling.not_started(number, error))
        self._starts_at[number] = monotonic() + WAIT_MAX_S

    def _hear(self, child: Child) -> None:
        said = child.has_said()
        if said is None:
            # How it has ended is known in a moment.
            self._forget(child)
        elif said and not child.is_serving:
            child.is_serving = True
            now = monotonic()
            self._restarts.serves(child.number - 1, now)
            if self._is_ending:
                return
            logger.info(telling.serves(child, self._places[child.number - 1], self._settings))
            if not self._has_served:
                self._starts_at |= dict.fromkeys(range(2, len(self._places) + 1), now)
            self._has_served = True
            self._tell_all()

    def _tell_all(self) -> None:
        count = len(self._places)
        if self._restarts.serving_count == count and not self._told_all:
            self._told_all = True
            logger.info(telling.all_serve(count))

    # Ending ---------------------------------------------------------------------------------------

    def _pass_on(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._stop(telling.stopping(number, self._settings))
            self._signal = number
        elif self._signal == signal.SIGHUP and number == signal.SIGTERM:
            # The end of the session follows that of its terminal: nobody is in a hurry. As in `serving`.
            self._signal = number
        elif number != signal.SIGHUP:
            logger.warning(telling.again(number))
            # There is no delay any more.
            self._kill_within(self._settings.shutdown_timeout_s)
        for child in self._children.values():
            child.order(number)

    def _stop(self, why: str, *, level: int = logging.INFO) -> None:
        """Start nobody any more, and have the others gone in time."""
        logger.log(level, why)
        self._is_ending = True
        self._starts_at.clear()
        self._kill_within(self._settings.drain_delay_s + self._settings.shutdown_timeout_s)

    def _kill_within(self, seconds: float) -> None:
        at = monotonic() + seconds + GRACE_S
        self._kill_at = at if self._kill_at is None else min(at, self._kill_at)

    def _kill(self) -> None:
        self._kill_at = None
        for child in self._children.values():
            logger.error(telling.killed(child))
            child.kill()

    def _lose(self, child: Child, code: int) -> None:
        """A worker has ended."""
        del self._children[child.number]
        self._forget(child)
        child.channel.close()
        now = monotonic()
        wait_s = self._restarts.ended(child.number - 1, now, self._dice.random())
        if self._is_ending:
            self._count_end(child, code)
        elif code == UNUSABLE or not self._has_served:
            self._give_up(telling.cannot_serve(child, code), code)
        elif wait_s is None:
            ends = self._restarts.ends_in_a_row(child.number - 1)
            self._give_up(telling.given_up(child, code, ends), code)
        else:
            self._starts_at[child.number] = now + wait_s
            level = logging.INFO if code == 0 else logging.WARNING
            left = self._restarts.serving_count
            logger.log(level, telling.ended(child, code, wait_s, left))

    def _forget(self, child: Child) -> None:
        """Listen to it no more. Idempotent."""
        if child.channel in self._selector.get_map():
            self._selector.unregister(child.channel)

    def _count_end(self, child: Child, code: int) -> None:
        """One that was to end."""
        if code == 0 or (code == -signal.SIGTERM and not child.is_serving):
            return
        logger.error(telling.ended_badly(child, code))
        self._code = self._code or _exit_code(code)

    def _give_up(self, why: str, code: int) -> None:
        self._code = _exit_code(code)
        self._stop(why, level=logging.ERROR)
        for child in self._children.values():
            child.order(signal.SIGINT)

    def _ended(self) -> int:
        if self._signal is not None and not self._has_served and not self._code:
            return BY_SIGNAL + self._signal
        if self._signal is not None and not self._code:
            logger.info("stopped")
        return self._code


def _exit_code(code: int) -> int:
    """What the whole ends with if a worker has ended so."""
    return code if code > 0 else 1
