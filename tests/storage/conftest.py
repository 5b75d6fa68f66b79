"""The stores that the contract suite runs on. It speaks to them through `Store` only."""

from pathlib import Path

import pytest

from conduit.storage.base import Store
from conduit.storage.memory import MemoryStore
from conduit.storage.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path: Path):
    """An open, empty store."""
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "log.db")
    await opened.open()
    yield opened
    await opened.close()
