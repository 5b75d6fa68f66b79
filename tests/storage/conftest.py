"""The stores that the contract suite runs on. It speaks to them through `Store` only."""

from pathlib import Path

import pytest

from conduit.storage.base import Store
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.support.postgres import DATABASE


@pytest.fixture
def database_url(cluster):
    """A database without anything of ours."""
    return cluster.empty_database()


@pytest.fixture
def second_database_url(cluster):
    """Another one."""
    return cluster.empty_database("second")


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
        urls = [request.getfixturevalue("database_url")]
        if request.param == "pgbouncer":
            urls = [request.getfixturevalue("pgbouncer").url(DATABASE)]
        elif request.param == "shards":
            urls.append(request.getfixturevalue("second_database_url"))
        opened = PostgresStore(*urls)
    await opened.open()
    yield opened
    await opened.close()
