"""A server for the commands, and names that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Conduit
from tests.support.http import Api
from tests.support.server import RunningServer, running_server


@pytest.fixture(autouse=True)
def no_contexts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for settings, which is empty; and no variables that speak to commands."""
    for name in ("CONDUIT_URL", "CONDUIT_API_KEY", "CONDUIT_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


@pytest.fixture
def conduit(server: RunningServer) -> Conduit:
    return Conduit(server.url)


@pytest.fixture
def api(server: RunningServer) -> Api:
    return Api(server.url)


@pytest.fixture
def topic() -> str:
    """A topic that no other test uses; nothing is created."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def name() -> str:
    """A subscription that no other test uses."""
    return f"s-{uuid.uuid4().hex[:12]}"
