"""Threads that use SQLite, so that the event loop never waits for a disk.

A commit whose sync fails may be stored all the same (errors.py). So the thread that writes first makes sure
that it is not, by a commit of its own in its place, before anybody is answered or anything else is written:
the error that the caller then gets means "not stored". As long as the disk does not take that either, nobody
knows, and there is no answer; nor is there one from a process that is killed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import apsw

from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.storage.sqlite.errors import is_in_doubt, translated

P = ParamSpec("P")
T = TypeVar("T")

# Calls that wait for a thread. The broker makes few at a time; more means that the disk hangs.
WAITING_MAX_COUNT = 10_000
# Urgent calls in a row after which a slice of housekeeping runs, so that it never starves.
URGENT_STREAK_COUNT = 32
# Between two tries to undo a commit that failed.
UNDO_PAUSE_S = 0.2

OPENED_AGAIN = "the database is opened again after a failure"

logger = logging.getLogger(__name__)


class _Call(NamedTuple):
    run: Callable[[apsw.Connection], object]
    future: asyncio.Future[Any]
    is_proof: bool = False


class Worker:
    """Runs calls on threads of its own, one thread for each connection.

    Calls start in the order in which they were made; `housekeep` calls let the others pass. A call that
    was made is finished even if its caller is cancelled or the worker is closed meanwhile.

    `undo` is for connections that write: when it returns, a commit that failed before it is not stored.
    `reopen` makes another connection in the place of one that had to be closed over a failure.
    `check` raises what is the answer to every call but proofs, as long as nothing may be written.
    """

    def __init__(
        self,
        name: str,
        connections: Sequence[apsw.Connection],
        undo: Callable[[apsw.Connection], None] | None = None,
        reopen: Callable[[], apsw.Connection] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self._undo = undo
        self._reopen = reopen
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[_Call] = deque()
        self._later: deque[_Call] = deque()
        # One token for each waiting call wakes one thread; a token without a call ends it.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._streak = 0
        # Calls without an answer. The loop's thread alone changes it.
        self._count = 0
        self._closed = False
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(connection,), name=name, daemon=True)
            for connection in connections
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a call waits for its thread, or for its answer."""
        return self._count > 0

    async def call(
        self, job: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `job(connection, …)` and return its result; errors are translated. Raises OutcomeUnknown if the
        worker is closed before it is known whether a commit is stored."""
        return await self._submit(self._urgent, lambda connection: job(connection, *args, **kwargs))

    async def housekeep(
        self, job: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `call`, for a slice of work that others need not wait for."""
        return await self._submit(self._later, lambda connection: job(connection, *args, **kwargs))

    async def prove(
        self, job: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `call`, for what finds out whether anything may be written."""
        return await self._submit(
            self._urgent, lambda connection: job(connection, *args, **kwargs), is_proof=True
        )

    def close(self) -> None:
        """Finish the calls that wait and end the threads. Blocks: not for the event loop's thread."""
        self._closed = True
        self._closing.set()
        for _ in self._threads:
            self._tokens.put(None)
        for thread in self._threads:
            thread.join()

    def _submit(
        self, queue: deque[_Call], run: Callable[[apsw.Connection], T], *, is_proof: bool = False
    ) -> asyncio.Future[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(queue) >= WAITING_MAX_COUNT:
            raise StoreUnavailable(f"{WAITING_MAX_COUNT} calls wait for the disk")
        future: asyncio.Future[T] = self._loop.create_future()
        self._count += 1
        queue.append(_Call(run, future, is_proof))
        self._tokens.put(None)
        return future

    def _work(self, connection: apsw.Connection) -> None:
        while (call := self._next()) is not None:
            result: object = None
            failure: Exception | None = None
            try:
                if not call.is_proof:
                    self._check()
                result = call.run(connection)
            except Exception as error:  # noqa: BLE001 - the root of the thread: the caller gets it
                failure = translated(error, connection)
                if self._undo is not None and is_in_doubt(error):
                    failure, connection = self._undone(self._undo, connection, failure)
                elif self._reopen is not None and _is_closed(connection):
                    connection = self._usable(connection, self._reopen)
            # A loop that is closed has nobody left who waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer, call.future, result, failure)

    def _answer(
        self, future: asyncio.Future[object], result: object, failure: Exception | None
    ) -> None:
        self._count -= 1
        if future.done():
            return
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)

    def _usable(
        self, connection: apsw.Connection, reopen: Callable[[], apsw.Connection]
    ) -> apsw.Connection:
        """Another connection in the place of this one, which is closed. If that fails, the next call that
        fails tries again: the row that proves whether writes are taken comes soon."""
        try:
            connection = reopen()
            logger.warning(OPENED_AGAIN)
        except Exception as error:  # noqa: BLE001 - the root of the thread: it goes on without
            logger.warning("the database cannot be opened again: %s", translated(error))
        return connection

    def _undone(
        self,
        undo: Callable[[apsw.Connection], None],
        connection: apsw.Connection,
        failure: Exception,
    ) -> tuple[Exception, apsw.Connection]:
        """What the caller gets, once it is known that the commit that failed is not stored; and the
        connection from now on. One that had to be closed is opened again before: nobody else could say."""
        is_logged = False
        while True:
            try:
                if self._reopen is not None and _is_closed(connection):
                    connection = self._reopen()
                    logger.warning(OPENED_AGAIN)
                undo(connection)
                return failure, connection
            except (apsw.Error, OSError, StoreUnavailable) as error:
                if not is_logged:
                    is_logged = True
                    logger.warning(
                        "a failed commit cannot be undone yet, all writes wait: %s", error
                    )
            if self._closing.wait(UNDO_PAUSE_S):
                break
        return OutcomeUnknown(f"{failure}; it may be stored"), connection

    def _next(self) -> _Call | None:
        """Wait for a call; None when the thread is to end."""
        self._tokens.get()
        if self._later and self._streak >= URGENT_STREAK_COUNT:
            self._streak = 0
            return self._later.popleft()
        with suppress(IndexError):
            call = self._urgent.popleft()
            self._streak += 1
            return call
        self._streak = 0
        with suppress(IndexError):
            return self._later.popleft()
        return None


def _is_closed(connection: apsw.Connection) -> bool:
    try:
        bool(connection.in_transaction)
    except apsw.ConnectionClosedError:
        return True
    return False
