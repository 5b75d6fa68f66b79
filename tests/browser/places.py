"""The servers that are pictured: a shop that is open, an empty one, one that asks for keys, a cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from conduit.client import AsyncConduit
from tests.browser.gallery import KEY, READER, TENANT, TOPIC
from tests.browser.shop import open_shop, trade
from tests.support.access import furnish, guarded_server
from tests.support.nodes import NAMES, linked_servers
from tests.support.postgres import Cluster
from tests.support.server import running_server
from tests.support.wait import until

DAY_S = 86_400.0


@dataclass(frozen=True)
class Place:
    """Where pages are opened, and with which key; an empty one: nobody signs in."""

    url: str
    key: str = ""


@contextmanager
def _trading(url: str, for_s: float) -> Iterator[None]:
    """A shop, open since so many seconds and until the end."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def all_day() -> None:
        async with AsyncConduit(url) as client, asyncio.TaskGroup() as tasks:
            await open_shop(client)
            work = tasks.create_task(trade(client, DAY_S))
            await stop.wait()
            work.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(all_day(),))
    thread.start()
    try:
        print(f"a shop is open for {for_s:.0f} s", flush=True)
        thread.join(for_s)
        assert thread.is_alive(), "the shop has closed by itself"
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def _shop(open_s: float) -> Iterator[Place]:
    with (
        running_server(DATABASE_URL="sqlite:///shop.db", NODE_ID="east-1") as server,
        _trading(server.url, open_s),
    ):
        yield Place(server.url)


@contextmanager
def _empty(_: float) -> Iterator[Place]:
    with running_server(DATABASE_URL="sqlite:///empty.db", NODE_ID="east-1") as server:
        yield Place(server.url)


@contextmanager
def _guarded(who: str) -> Iterator[Place]:
    """A server with keys and tenants: as nobody, as its operator, or as who may not manage."""
    with guarded_server(DATABASE_URL="sqlite:///guarded.db", NODE_ID="east-1") as guarded:
        acme = guarded.create_tenant(TENANT, topics=10, stored_bytes=1 << 20, publishes_per_s=100)
        for number in range(9):
            acme.create_topic(f"orders.{number}")
        guarded.create_tenant("blue")
        furnish(guarded.acting("default"), "default")
        guarded.acting("default").create_topic(TOPIC)
        more = {"topics": ["orders.>", "emails.sent"], "ttl_s": 30 * DAY_S, "name": KEY}
        guarded.create_key("default", "publish", "subscribe", **more)
        reader = guarded.create_key("default", "publish", "subscribe", name=READER)["key"]
        yield Place(
            guarded.server.url,
            {"door": "", "operator": guarded.operator.key or "", "reader": reader}[who],
        )


@contextmanager
def _cluster(open_s: float) -> Iterator[Place]:
    database = Cluster()
    try:
        database.start()
        names = [name.replace("node", "east") for name in NAMES]
        with (
            linked_servers(database.create_database("pictures"), *names) as linked,
            _trading(linked.servers[0].url, open_s),
        ):
            until(lambda: linked.links_up() == len(names) * (len(names) - 1))
            yield Place(linked.servers[0].url)
    finally:
        database.remove()


PLACES: dict[str, Callable[[float], AbstractContextManager[Place]]] = {
    "shop": _shop,
    "empty": _empty,
    "door": lambda _: _guarded("door"),
    "operator": lambda _: _guarded("operator"),
    "reader": lambda _: _guarded("reader"),
    "cluster": _cluster,
}
