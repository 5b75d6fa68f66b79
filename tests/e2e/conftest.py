from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest

from tests.support import server as servers
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.ws import WsClient

STORES = {"memory": {}, "sqlite": {"DATABASE_URL": "sqlite:///conduit.db"}, "postgres": {}}
# All else is at its default. The retention's rounds come often, so that no test waits for one.
SETTINGS = {"CONDUIT_RETENTION_INTERVAL_S": "0.1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for number, server in enumerate(servers.running):
            report.sections.append((f"server {number}", server.log_tail()))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every store, unless its module says that the store does not matter to it."""
    if "shared_server" in metafunc.fixturenames:
        stores = getattr(metafunc.module, "STORES", sorted(STORES))
        metafunc.parametrize("shared_server", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def shared_server(request) -> Iterator[RunningServer]:
    settings = {**STORES[request.param], **SETTINGS}
    if request.param == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("cluster").empty_database("e2e")
    with running_server(**settings) as server:
        yield server
        if server.alive:
            code, _ = server.terminate()
            assert code == 0, server.log_tail()
        assert "Traceback" not in server.log_text(), server.log_tail()


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """A server shared by all tests, once per store. Use topics of your own; do not stop it."""
    if not shared_server.alive:
        shared_server.start()
    return shared_server


@pytest.fixture
def api(server: RunningServer) -> Api:
    return Api(server.url)


@pytest.fixture
def ws(server: RunningServer) -> Iterator[WsClient]:
    with WsClient(server.ws_url) as client:
        yield client


@pytest.fixture
def connect(server: RunningServer):
    """Open more connections: `connect()`; all are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(WsClient(server.ws_url))


@pytest.fixture
def topic() -> str:
    """A topic name that no other test uses; nothing is created."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def name() -> str:
    """A subscription name that no other test uses."""
    return f"s-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ten(api, topic):
    """A topic that holds the payloads 1..10; returns their receipts."""
    api.create_topic(topic)
    return [api.publish(topic, number) for number in range(1, 11)]
