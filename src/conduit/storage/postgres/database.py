"""Connections to one database: how they are made, and the pools of those that may be given up.

Nothing here keeps state in a session, and no statement is prepared where a pooler in transaction mode
(PgBouncer) would hand the next one to another session. No statement is ever cancelled: a cancel that
meets a COMMIT waiting for a standby would make it look done. What takes too long loses its connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import asyncpg

from conduit import store_url
from conduit.errors import OutcomeUnknown, StoreUnavailable, Unavailable
from conduit.storage.postgres.errors import ENDED, translated

if TYPE_CHECKING:
    # Generic for type checkers only.
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool = asyncpg.Pool[asyncpg.Record]

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
# For a free connection of a pool.
ACQUIRE_TIMEOUT_S = 5.0
# For everything but a batch: a call that takes longer has lost its connection, or might as well have.
CALL_TIMEOUT_S = 10.0
# Migrations and the removal of a segment wait for others.
MAINTENANCE_TIMEOUT_S = 60.0

READERS_COUNT = 4
CONTROL_COUNT = 4
# Calls that run or wait for a connection. The broker makes few at a time; more means a hung database.
CALLS_MAX_COUNT = 10_000


class _Stateless(asyncpg.Connection):
    """A connection that needs no reset between its users, since none leaves anything in the session."""

    def get_reset_query(self) -> str:
        return ""


Job: TypeAlias = Callable[Concatenate["Connection", P], Awaitable[T]]


class Database:
    """One database by its URL. `probe` comes first, `open_pools` makes `read` and `write` work."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.where = store_url.place(url)
        """The URL for people: host, port and database."""
        self.place = ""
        """Which database it is, by whatever URL it is reached."""
        # Until it is known, as if there were one.
        self.has_pooler = True
        self._readers: Pool | None = None
        self._control: Pool | None = None
        self._proofs: Pool | None = None
        self._searches: Pool | None = None
        self._lists: Pool | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._lane = asyncio.Lock()
        self._refused: str | None = None

    async def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> Connection:
        """A connection of its own; `terminate` it. Raises StoreUnavailable."""
        self.check()
        options = self._options | {"timeout": timeout_s}
        try:
            return await asyncpg.connect(self._url, connection_class=_Stateless, **options)
        except Exception as error:
            raise _named(translated(error), self.where) from error

    def refuse(self, why: str) -> None:
        """From now on nothing is asked and nothing changed."""
        self._refused = why

    def check(self) -> None:
        """Raises StoreUnavailable if it refuses all."""
        if self._refused is not None:
            raise StoreUnavailable.at(self.where, self._refused)

    async def probe(self) -> None:
        """Find out which database it is, and whether a pooler is in between, which shares its sessions.
        Raises StoreUnavailable."""
        connection = await self.connect()
        try:
            # A pooler makes up the process id that it tells its clients.
            row = await within(CALL_TIMEOUT_S, connection, connection.fetchrow(_PROBE))
            assert row is not None
            actual, self.place = row
            self.has_pooler = actual != connection.get_server_pid()
        finally:
            connection.terminate()

    async def open_pools(self) -> None:
        """Connections are made when they are needed."""
        self._readers = await self._pool(READERS_COUNT)
        self._control = await self._pool(CONTROL_COUNT)
        self._proofs = await self._pool(1)
        self._searches = await self._pool(1)
        self._lists = await self._pool(1)

    async def _pool(self, max_count: int) -> Pool:
        return await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=max_count,
            connection_class=_Stateless,
            **self._options,
        )

    @property
    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "timeout": CONNECT_TIMEOUT_S,
            "server_settings": {"application_name": "conduit"},
        }
        if self.has_pooler:
            # It hands the next statement to another session, which knows nothing of prepared ones.
            options["statement_cache_size"] = 0
        return options

    async def close(self) -> None:
        """Finish the calls that were made, and give up all connections. Idempotent."""
        while self._calls:
            await asyncio.wait(self._calls)
        searchers = (self._searches, self._lists)
        for pool in (self._readers, self._control, self._proofs, *searchers):
            if pool is not None:
                pool.terminate()
        self._readers = self._control = self._proofs = self._searches = self._lists = None

    async def read(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`job(connection, …)` on a connection that is for reading the log. Raises StoreUnavailable."""
        return await self._call(self._readers, lambda c: job(c, *args, **kwargs))

    async def ask(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, on a connection for all else."""
        return await self._call(self._control, lambda c: job(c, *args, **kwargs))

    async def search(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `ask`, on the one connection for searches. Whoever asks lines up for it."""
        return await self._call(self._searches, lambda c: job(c, *args, **kwargs))

    async def list(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `search`, on a connection for what an index finds."""
        return await self._call(self._lists, lambda c: job(c, *args, **kwargs))

    async def prove(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `ask`, on a connection for nothing else: it waits for no other call."""
        return await self._call(self._proofs, lambda c: job(c, *args, **kwargs))

    async def change(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `ask`, for a job that changes something. Raises StoreUnavailable if it did not, OutcomeUnknown
        if nobody can say."""
        return await self._call(self._control, lambda c: job(c, *args, **kwargs), changes=True)

    async def write(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `change`, one after the other in the order of the calls, each to its end."""
        return await self.in_turn(lambda: self.change(job, *args, **kwargs))

    async def in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """`work()` when it is its turn among the jobs of `write`; it may `ask` and `change`, and must not
        `write`."""

        async def in_lane() -> T:
            async with self._lane:
                return await work()

        return await self._to_its_end(in_lane)

    async def maintain(self, job: Job[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `change`, for what may take longer, and out of turn."""
        timeout_s = MAINTENANCE_TIMEOUT_S
        return await self._call(
            self._control, lambda c: job(c, *args, **kwargs), timeout_s, changes=True
        )

    async def _call(
        self,
        pool: Pool | None,
        job: Callable[[Connection], Awaitable[T]],
        timeout_s: float = CALL_TIMEOUT_S,
        *,
        changes: bool = False,
    ) -> T:
        self.check()
        if pool is None:
            raise StoreUnavailable("the store is not open")
        return await self._to_its_end(
            lambda: _on_a_connection(pool, self.where, timeout_s, job, changes=changes)
        )

    async def _to_its_end(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """`work()`, which goes on if the caller is cancelled."""
        if len(self._calls) >= CALLS_MAX_COUNT:
            raise StoreUnavailable(f"{CALLS_MAX_COUNT} calls wait for PostgreSQL")
        task = asyncio.get_running_loop().create_task(work())
        self._calls.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        finally:
            # Its error knows this frame, and the frame would know the error's task.
            del task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        # Nobody may wait any more for its error.
        if not task.cancelled():
            task.exception()


# Everybody may ask when a cluster was started, and no two were in the same microsecond.
_PROBE = """
SELECT pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time()) || ' ' || oid
FROM pg_database WHERE datname = current_database()
"""


def _named(error: Exception, where: str) -> Exception:
    """The error, with the server that it is about."""
    return (
        StoreUnavailable.at(where, error.detail) if isinstance(error, StoreUnavailable) else error
    )


async def _on_a_connection(
    pool: Pool,
    where: str,
    timeout_s: float,
    job: Callable[[Connection], Awaitable[T]],
    *,
    changes: bool,
) -> T:
    try:
        connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
    except TimeoutError:
        raise StoreUnavailable.at(where, "no connection was free in time") from None
    except Exception as error:
        raise _named(translated(error), where) from error
    try:
        return await within(timeout_s, connection, job(connection), changes=changes)
    except Unavailable:
        # Whatever it was, it may have left the connection unusable.
        _end(connection)
        raise
    finally:
        # That it has ended meanwhile is not the caller's concern: the pool makes another.
        with suppress(asyncpg.PostgresError, *ENDED):
            await pool.release(connection)


def _end(connection: Connection) -> None:
    """Terminate it, unless it ended by itself: then the pool has it back, and asyncpg refuses the call."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def within(
    timeout_s: float, connection: Connection, work: Awaitable[T], *, changes: bool = False
) -> T:
    """The result of `work` on the connection, which is ended if there is none in time.

    The work is not cancelled: what it asked for may still happen. Raises what `translated` makes of its
    errors; after the time OutcomeUnknown if it `changes` something, else StoreUnavailable.
    """

    task = asyncio.ensure_future(work)  # noqa: TID251 - awaited below
    done, _ = await asyncio.wait({task}, timeout=timeout_s)
    if not done:
        _end(connection)
        await asyncio.wait({task})
        logger.warning("PostgreSQL did not answer in %g s", timeout_s)
    try:
        return task.result()
    except Exception as error:
        if done:
            raise translated(error, changes=changes) from error
        late = f"PostgreSQL did not answer in {timeout_s:g} s"
        if changes:
            raise OutcomeUnknown(f"{late}; it may be done") from error
        raise StoreUnavailable(late) from error
    finally:
        # Its error knows this frame, and the frame would know the error's task.
        del task, done
