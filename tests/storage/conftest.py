"""The stores that the contract suite runs on. It speaks to them through `Store` only."""

from itertools import count
from pathlib import Path

import pytest

from conduit.storage.base import Store
from conduit.storage.memory import MemoryStore
from conduit.storage.postgres import PostgresStore
from conduit.storage.sqlite import SqliteStore
from tests.support.postgres import Cluster

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL server, for all tests of the session."""
    made = Cluster()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def database_url(cluster):
    """A new, empty database."""
    return cluster.create_database(f"test_{next(_numbers)}")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request, tmp_path: Path):
    """An open, empty store."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = SqliteStore(tmp_path / "log.db")
    else:
        opened = PostgresStore(request.getfixturevalue("database_url"))
    await opened.open()
    yield opened
    await opened.close()
