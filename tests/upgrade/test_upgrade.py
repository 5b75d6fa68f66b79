"""An upgrade over a schema that the version before cannot work with: nothing that it stored is missing.

`schema_1.whl` is that version, as it was built: each schema that servers may still have keeps its wheel here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conduit.storage.postgres.migrations import all_migrations
from tests.support.http import Api
from tests.support.server import RunningServer, clean_environment, running_server
from tests.support.ws import WsClient, payloads

BEFORE = Path(__file__).with_name("schema_1.whl")
# So that a dead letter takes no time.
ONCE = {"ack_wait_ms": 30_000, "max_attempts": 1}

pytestmark = pytest.mark.e2e


def before(url: str):
    """A server of the version before."""
    return running_server(DATABASE_URL=url, PYTHONPATH=str(BEFORE))


def now(url: str):
    """A server of this version."""
    return running_server(DATABASE_URL=url)


def conduit(*args: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "conduit", *args],
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def url(cluster):
    return cluster.empty_database("upgraded")


def fill(server: RunningServer) -> dict[str, object]:
    """Something of everything; what the server then says of it."""
    api = Api(server.url)
    for name in ("orders.eu", "orders.us", "rejected"):
        api.create_topic(name)
    api.post("/api/subscriptions", {"name": "billing", "topic": "orders.>"})
    api.publish_many("orders.eu", [{"n": n, "text": "ä\\u0000"} for n in range(300)])
    api.publish("orders.us", 1, key="k", headers={"h": "x"}, idempotency_key="once")
    api.publish("rejected", "dead")
    with WsClient(server.ws_url) as ws:
        ws.subscribe("orders.>", subscription="billing")
        frames = ws.messages(257)
        for frame in frames[:10]:
            ws.send({"type": "ack", "message_id": frame["message_id"], "ref": "r"})
            ws.receive("acked", ref="r")
    with WsClient(server.ws_url) as ws:
        ws.subscribe("rejected", subscription="strict", start="earliest", **ONCE)
        [frame] = ws.messages(1)
        ws.send({"type": "reject", "message_id": frame["message_id"], "ref": "r"})
        ws.receive("acked", ref="r")
    return state(api)


def state(api: Api) -> dict[str, object]:
    """All that is stored, as the API shows it."""
    names = [topic["name"] for topic in api.get("/api/topics").json["topics"]]
    views = {name: api.subscription(name) for name in ("billing", "strict")}
    return {
        "topics": [api.topic(name) for name in names],
        "messages": {name: api.browse(name) for name in names},
        "progress": {name: view["topics"] for name, view in views.items()},
        "pending": {name: view["pending_retry_count"] for name, view in views.items()},
        "dead": api.dead_letters(),
    }


def test_what_the_version_before_stored_is_there(url):
    with before(url) as server:
        stored = fill(server)
        assert Api(server.url).get("/health").json["store"]["kind"] == "postgresql"
    refused = conduit("serve", DATABASE_URL=url, PORT="0")
    assert refused.returncode != 0
    assert "stop all servers, then run `conduit migrate up`" in refused.stderr
    assert conduit("migrate", "up", "--yes", DATABASE_URL=url).returncode == 0
    refused = conduit("serve", DATABASE_URL=url, PORT="0", PYTHONPATH=str(BEFORE))
    assert refused.returncode != 0
    assert f"schema version {all_migrations()[-1].version}" in refused.stderr
    with now(url) as new:
        api = Api(new.url)
        assert state(api) == stored
        # What that version did not know has its default.
        assert api.subscription("billing")["max_lost"] == 20
        receipt = api.publish("orders.us", 2, idempotency_key="once")
        assert (receipt["seq"], receipt["duplicate"]) == (1, True)
        with WsClient(new.ws_url) as ws:
            ws.subscribe("orders.>", subscription="billing")
            # Topics take turns in the window.
            frames = []
            while not {11, 257} <= {f["seq"] for f in frames if f["topic"] == "orders.eu"}:
                frames += ws.messages(100)
                for frame in frames[-100:]:
                    ws.send({"type": "ack", "message_id": frame["message_id"]})
            assert "ä\\u0000" in {
                payload.get("text") for payload in payloads(frames) if isinstance(payload, dict)
            }
