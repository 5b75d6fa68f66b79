"""uvicorn's server with our signals, our sweep, and our order of stopping."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from time import perf_counter

import uvicorn

from conduit import __version__
from conduit.server.context import SWEEP_INTERVAL_S, Connection, Context, OpenSession
from conduit.server.exposure import Exposure, is_loopback
from conduit.server.farewell import Farewell
from conduit.server.front import make_front
from conduit.server.logs import flush_logs
from conduit.server.operators import OperatorsFront
from conduit.server.rest.api import create_api
from conduit.server.signals import seen_first
from conduit.server.trimming import Trimming, malloc_trim
from conduit.server.workers.worker import Worker

logger = logging.getLogger(__name__)

# Of each kind in one turn of the loop: one or two milliseconds. Those that have to go take longer: 1,000
# WebSockets of a key that was revoked took 30 ms.
SWEPT_SLICE_COUNT = 1_000
SWEPT_MAX_S = 0.001
# How long a busy thread keeps Python's lock from the others.
SWITCH_INTERVAL_S = 0.0005
# Connections that the kernel keeps for us between two turns of the loop.
BACKLOG_COUNT = 4_096

# Addresses that mean all of the machine's, and one that a browser on it can open.
_ANY = {"0.0.0.0": "localhost", "::": "localhost"}
# Parts of the time that stopping may take; the rest is for the broker. What is not handed over to other nodes
# in time goes there when this one has given it up.
HAND_OVER_PART = 0.15
SESSIONS_PART = 0.3
ABORTED_PART = 0.1
REQUESTS_PART = 0.3
# uvicorn waits for requests so much longer than their connections have.
CUT_BEFORE_S = 0.5
# How long a process that must end at once waits for its last log lines to be taken.
LAST_LINES_MAX_S = 0.2


class Server(uvicorn.Server):
    """Serves the sockets that `serve` is given until a signal, and then until all is answered.

    The broker must have started, and is to be stopped after `serve`. After SIGTERM or SIGHUP it serves on for
    `drain_delay_s`, and says that it is not ready; `stop_within_s` after that the process ends, whatever
    still runs. `database_place` is for the log: where what is stored is kept, None for memory. `operators`:
    the socket of the operator's port. `worker`: which of several servers of one supervisor this is; then that
    has the signals, and tells of the end.
    """

    def __init__(
        self,
        context: Context,
        *,
        stop_within_s: float,
        drain_delay_s: float = 0.0,
        database_place: str | None = None,
        operators: socket.socket | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._context = context
        self._stop_within_s = stop_within_s
        self._drain_delay_s = drain_delay_s
        self._database_place = database_place
        # What requests that have arrived get to be answered.
        self._requests_s = max(1, int(stop_within_s * REQUESTS_PART))
        self._worker = worker
        # Whether the supervisor has passed on a signal.
        self._is_ordered = False
        # The last one that counted.
        self._signal: signal.Signals | None = None
        # Set while it serves on after SIGTERM.
        self._draining: asyncio.TimerHandle | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._farewell = Farewell(context.sessions)
        self._trimming = Trimming(malloc_trim())
        self._operators = operators
        if operators is not None:
            door = context.open_to_operators()
            self._operators_front = make_front(context, door, OperatorsFront)
        self._front = make_front(context)
        super().__init__(
            uvicorn.Config(
                create_api(context),
                http=self._front,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # uvicorn would take the address of a client from a header that it may send itself.
                proxy_headers=False,
                backlog=BACKLOG_COUNT,
                timeout_graceful_shutdown=self._requests_s,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGHUP stop the server after the drain delay, SIGINT at once; another one ends the
        delay, and one more the process."""
        loop = asyncio.get_running_loop()
        numbers = {signal.SIGTERM, signal.SIGINT}
        # nohup has it ignored.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.add(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._heard, number)
        if self._worker is not None:
            self._worker.obey(self)
        with seen_first(frozenset(numbers), self.set_last_deadline):
            yield

    def set_last_deadline(self) -> None:
        """Also if the loop never comes to `stop`."""
        _end_within(self._drain_delay_s + self._stop_within_s)

    def ordered(self, number: signal.Signals) -> None:
        """See `Obeying`. The first one may have come to all processes, as systemd does it."""
        is_first, self._is_ordered = not self._is_ordered, True
        if not (is_first and self._signal is not None):
            self._signalled(number)

    def _heard(self, number: signal.Signals) -> None:
        # Of a worker's own signals the first counts: how many there are is the supervisor's to know.
        if self._worker is None or self._signal is None:
            self._signalled(number)

    def _signalled(self, number: signal.Signals) -> None:
        before = self._signal
        if number == signal.SIGHUP and before is not None:
            # Of a terminal that is closed it may come twice: from the system, and from the shell.
            return
        if before == signal.SIGHUP and number == signal.SIGTERM:
            # The end of the session follows that of its terminal: nobody is in a hurry.
            self._signal = number
            return
        if self.should_exit and before is not None:
            since = "again" if before == number else f"after {before.name}"
            logger.warning("%s %s: exiting at once", number.name, since)
            flush_logs(LAST_LINES_MAX_S)
            os._exit(1)
        self._signal = number
        self._context.ready = False
        if self._context.leaving is not None:
            # At once: other nodes go on with what runs here, while clients are still connected.
            self._context.leaving.stop()
        if self.should_exit:
            # It stops by itself already.
            return
        if self._drain_delay_s and self._draining is None and number != signal.SIGINT:
            self._tell_of_end(
                f"{number.name}: not ready any more, stopping in {self._drain_delay_s:g} s"
            )
            loop = asyncio.get_running_loop()
            self._draining = loop.call_later(self._drain_delay_s, self.stop, "drained")
        else:
            self.stop(number.name)

    def stop(self, why: str) -> None:
        """End in order, and say in the log why. Idempotent."""
        if self.should_exit:
            return
        if self._draining is not None:
            self._draining.cancel()
        if self._context.leaving is not None:
            self._context.leaving.stop()
        self._context.ready, self._context.is_stopping = False, True
        self.should_exit = True
        _end_within(self._stop_within_s)
        self._tell_of_end(f"{why}: stopping")

    def _tell_of_end(self, line: str) -> None:
        """In the log, if the supervisor's does not have it already."""
        if not self._is_ordered:
            logger.info(line)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and begin to sweep."""
        await super().startup(sockets)
        new = partial(self._front, self.config, self.server_state, self.lifespan.state)
        self._context.accepting.begin(sockets or (), new)
        # The thread that commits needs Python's lock before and after; from a busy loop it gets it after
        # this time, and each of its publishers waits for that. The default is 5 ms.
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._context.collecting.start()
        self._sweep()
        self._context.ready = not self.should_exit and self._draining is None
        names = [each.getsockname()[:2] for each in sockets or ()]
        exposure = self._context.listens([host for host, _ in names])
        if self._worker is None or self._worker.tells:
            self._tell(names, exposure)
        if self._operators is not None and not self.should_exit:
            await self._open_to_operators(self._operators)
        if self._worker is not None:
            self._worker.serves()

    def _tell(self, names: list[tuple[str, int]], exposure: Exposure) -> None:
        # A worker's own address is for who knows it from the list of nodes.
        for host, port in names if self._worker is None else names[:1]:
            logger.info(
                "Conduit %s listens on %s; %s%s; %s",
                __version__,
                _url(host, port),
                _documents(_reached(host, port), has_docs=self._operators is None),
                self._kept,
                exposure.told,
            )
        if exposure.warning is not None:
            logger.warning(exposure.warning)

    async def _open_to_operators(self, listener: socket.socket) -> None:
        new = partial(self._operators_front, self.config, self.server_state, self.lifespan.state)
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(new, sock=listener))
        host, port = listener.getsockname()[:2]
        if self._worker is not None and not self._worker.tells:
            return
        url = _reached(host, port)
        logger.info("for operators, without a key: %s/metrics, %s/docs, %s/health", url, url, url)
        if not is_loopback(host):
            logger.warning(
                "whoever reaches port %d can read metrics and what this node is, without a key: "
                "CONDUIT_ADMIN_HOST must be an address that only operators reach",
                port,
            )

    @property
    def _kept(self) -> str:
        """Where what is stored is kept, for the log."""
        kind, place = self._context.broker.store.kind, self._database_place
        if self._context.meeting is not None:
            return (
                f"store: {kind}, which nothing survives, and of this node alone: what others publish comes by"
                " links, or not at all"
            )
        return (
            f"store: {kind}, which nothing survives" if place is None else f"store: {kind}, {place}"
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, close the WebSockets, let the requests that have arrived be answered."""
        self._context.ready, self._context.is_stopping = False, True
        for listening in self.servers:
            listening.close()
        await self._context.accepting.end()
        await self._close_sessions()
        cutting = asyncio.get_running_loop().call_later(self._requests_s - CUT_BEFORE_S, self._cut)
        await super().shutdown(sockets)
        cutting.cancel()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        self._context.collecting.stop()
        self._trimming.stop()

    def _cut(self) -> None:
        """End what uvicorn would wait for, and call an error: uploads that do not end, answers that are not
        read."""
        left = tuple(self._context.connections)
        for connection in left:
            connection.abort()
        if left:
            logger.info("connections cut that had not sent or read all in time: %d", len(left))

    async def _close_sessions(self) -> None:
        """After what runs here was handed to other nodes: who is sent away finds it there."""
        loop, leaving = asyncio.get_running_loop(), self._context.leaving
        until = loop.time() + self._stop_within_s * SESSIONS_PART
        if leaving is not None:
            await leaving.end(self._stop_within_s * HAND_OVER_PART)
        left_s = max(0.0, until - loop.time())
        await self._farewell.close_all(left_s, self._stop_within_s * ABORTED_PART)

    def _sweep(self) -> None:
        """Let every connection act on its deadlines, and look after the memory."""
        loop = asyncio.get_running_loop()
        self._sweep_timer = loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        if self._context.standstill.look():
            # The loop reads first what has come meanwhile.
            return
        now = self._context.now()
        self._context.slow.tell()
        self._context.closings.report(now)
        self._context.entrance.begin_sweep(self._context.connection_count)
        self._context.collecting.look()
        self._trimming.look(self._context.memory.total_bytes, self._context.connection_count)
        connections, sessions = tuple(self._context.connections), tuple(self._context.sessions)
        self._sweep_slice(zip_longest(connections, sessions), now)

    def _sweep_slice(
        self, pairs: Iterator[tuple[Connection | None, OpenSession | None]], now: float
    ) -> None:
        """Some in this turn of the loop, the others in the next ones."""
        context, until = self._context, perf_counter() + SWEPT_MAX_S
        for count, (connection, session) in enumerate(pairs, 1):
            if connection is not None and connection in context.connections:
                _check(connection.sweep, now)
            if session is not None and session in context.sessions:
                _check(session.check, now)
            if count == SWEPT_SLICE_COUNT or perf_counter() >= until:
                asyncio.get_running_loop().call_soon(self._sweep_slice, pairs, now)
                return


def _reached(host: str, port: int) -> str:
    """How a browser on this machine comes there."""
    return _url(_ANY.get(host, host), port)


def _documents(url: str, *, has_docs: bool) -> str:
    """What of the server is for people."""
    docs = f"docs: {url}/docs; " if has_docs else ""
    return f"dashboard: {url}/ui/; {docs}"


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _check(check: Callable[[float], None], now: float) -> None:
    """Keep the fault of one connection from the deadlines of the others."""
    try:
        check(now)
    except Exception:
        logger.exception("a connection could not be checked")


def _end_within(seconds: float) -> None:
    # A thread, because what keeps the process from ending may be the loop or another thread.
    watchdog = threading.Timer(seconds, _give_up)
    watchdog.daemon = True
    watchdog.start()


def _give_up() -> None:
    logger.error("did not stop within CONDUIT_SHUTDOWN_TIMEOUT_S: exiting")
    flush_logs(LAST_LINES_MAX_S)
    os._exit(1)
