"""The stores that the contract suite runs on. It speaks to them through `Store` only."""

from pathlib import Path

import pytest

from conduit.core.message import Retention
from conduit.storage.base import Rule, Store
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.storage import given
from tests.storage.given import NOW_MS
from tests.storage.served import Served
from tests.support.postgres import DATABASE

SHARDS = ("first", "second")


@pytest.fixture
def database_url(cluster):
    """A database without anything of ours."""
    return cluster.empty_database()


@pytest.fixture
def second_database_url(cluster):
    """Another one."""
    return cluster.empty_database("second")


@pytest.fixture(scope="session")
def served(cluster):
    """Stores that nobody has used."""
    return Served(cluster)


_SERVED = [
    pytest.param(name, marks=pytest.mark.process) for name in ("postgres", "pgbouncer", "shards")
]


@pytest.fixture(params=["memory", "sqlite", *_SERVED])
async def store(request, tmp_path: Path):
    """An open, empty store."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = SqliteStore(tmp_path / "log.db")
    else:
        served = request.getfixturevalue("served")
        names = SHARDS if request.param == "shards" else [DATABASE]
        urls = await served.empty(*names)
        if request.param == "pgbouncer":
            urls = [request.getfixturevalue("pgbouncer").url(DATABASE)]
        opened = PostgresStore(*urls)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def topics(store):
    """`orders.eu` holds 3 to 10, `orders.us` 1 to 4, `orders.new` nothing; one ms between messages."""
    eu, us, new = [await given.topic(store, f"orders.{name}") for name in ("eu", "us", "new")]
    await given.messages(store, eu.topic_id, 10)
    await given.messages(store, us.topic_id, 4)
    await store.trim(eu.topic_id, Rule(Retention(max_messages=8), NOW_MS), 10)
    await given.messages(store, (await given.topic(store, "orders")).topic_id, 2)
    await given.messages(store, (await given.topic(store, "orders.eu", "others")).topic_id, 9)
    return {"eu": eu.topic_id, "us": us.topic_id, "new": new.topic_id}


@pytest.fixture
async def graveyard(store):
    """Eight dead letters of two topics and two subscriptions, d0 to d7, a second apart."""
    topics = {name: await given.topic(store, name) for name in ("orders", "refunds")}
    await given.subscription(store, "billing", ">")
    deaths = []
    for n in range(8):
        record = topics["orders" if n < 5 else "refunds"]
        new = given.message(record.topic_id, b'{"n":"\xc3\xa4%d"}' % n, key=f"user-{n % 2}")
        [seq] = await store.append([new])
        deaths.append(
            given.death(
                record.topic_id,
                seq,
                f"d{n}",
                subscription="billing" if n % 2 else "",
                reason="rejected: 100% [no] _card" if n == 3 else "ack_timeout",
                died_at_ms=NOW_MS + 1000 * n,
            )
        )
    await store.settle([], deaths)
