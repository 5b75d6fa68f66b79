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
    """The database, without anything of ours."""
    cluster.sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS conduit CASCADE")
    return cluster.url()


@pytest.fixture(params=["memory", "sqlite", "postgres", "pgbouncer"])
async def store(request, tmp_path: Path):
    """An open, empty store."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = SqliteStore(tmp_path / "log.db")
    else:
        url = request.getfixturevalue("database_url")
        if request.param == "pgbouncer":
            url = request.getfixturevalue("pgbouncer").url(DATABASE)
        opened = PostgresStore(url)
    await opened.open()
    yield opened
    await opened.close()
