"""The server under test with its store, and what a fault needs to get at: cluster, disk, proxy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import apsw

from tests.crash.proxy import Proxy
from tests.support.disk import SmallDisk
from tests.support.postgres import Cluster
from tests.support.server import RunningServer, running_server

Store = Literal["sqlite", "postgres"]
FILE = "crash.db"
# A new cluster takes a third of it, and a run a tenth.
DISK_BYTES = 96 << 20
SMALL_WAL = ("max_wal_size=8MB", "min_wal_size=2MB")
# Every message has a number of its own, every id is there once, and no counter is ahead of its log.
_DAMAGE = """
SELECT t.name, t.last_seq, count(*), count(DISTINCT m.seq), count(DISTINCT m.message_id)
FROM conduit.topics AS t JOIN conduit.messages AS m USING (topic_id)
GROUP BY topic_id HAVING count(*) <> t.last_seq OR count(DISTINCT m.seq) <> t.last_seq
  OR count(DISTINCT m.message_id) <> t.last_seq
"""
# Of a server whose publishes are answered in the middle of a fault, and not only when it is over.
IMPATIENT = {"CONDUIT_PUBLISH_TIMEOUT_S": "1"}


@dataclass
class Rig:
    """What one run is about. Of the parts besides the server only those are there that it needs."""

    server: RunningServer
    cluster: Cluster | None = None
    disk: SmallDisk | None = None
    proxy: Proxy | None = None

    def integrity(self) -> str:
        """`ok`, or what is wrong inside the store; call it when the server has ended."""
        if self.cluster is not None:
            return self.cluster.sql(_DAMAGE) or "ok"
        database = apsw.Connection(str(self.server.directory / FILE))
        integrity: str = database.execute("PRAGMA integrity_check").get
        database.close()
        return integrity


@contextlib.asynccontextmanager
async def rig_for(
    store: Store, *, proxied: bool, small_disk: bool, impatient: bool
) -> AsyncIterator[Rig]:
    """A server on a new store. Raises NoDisk."""
    settings = IMPATIENT if impatient else {}
    async with contextlib.AsyncExitStack() as stack:
        if store == "sqlite":
            yield Rig(await _served(stack, f"sqlite:///{FILE}", settings))
            return
        disk = SmallDisk(DISK_BYTES) if small_disk else None
        if disk is not None:
            stack.callback(disk.remove)
        cluster = _cluster(disk)
        stack.callback(cluster.remove)
        await asyncio.to_thread(cluster.start)
        url = await asyncio.to_thread(cluster.create_database)
        proxy = Proxy(cluster.port) if proxied else None
        if proxy is not None:
            await proxy.start()
            stack.push_async_callback(proxy.close)
            url = url.replace(f":{cluster.port}/", f":{proxy.port}/")
        yield Rig(await _served(stack, url, settings), cluster, disk, proxy)


def _cluster(disk: SmallDisk | None) -> Cluster:
    if disk is None:
        return Cluster()
    return Cluster(data=disk.path / "data", options=SMALL_WAL, initdb=("--wal-segsize=1",))


async def _served(
    stack: contextlib.AsyncExitStack, url: str, settings: dict[str, str]
) -> RunningServer:
    """In a thread: the proxy, which the server needs to start, runs on this loop."""
    served = running_server(DATABASE_URL=url, CONDUIT_LOG_LEVEL="warning", **settings)
    return await asyncio.to_thread(stack.enter_context, served)
