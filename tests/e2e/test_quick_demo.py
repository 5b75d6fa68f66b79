"""The seed README's Quick Demo, word for word; only the port is another."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support.server import running_server
from tests.support.ws import WsClient

CREATE = """
curl -X POST http://localhost:8080/api/topics \\
      -H "Content-Type: application/json" \\
      -d '{"name": "demo"}'
"""
SUBSCRIBE = '{"type":"subscribe","topic":"demo"}'
PUBLISH = """
curl -X POST http://localhost:8080/api/publish \\
      -H "Content-Type: application/json" \\
      -d '{"topic": "demo", "payload": {"hello": "world"}}'
"""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the demo's client is curl")


def shell(command: str, port: int) -> dict[str, object]:
    """Run a command of the demo and return the JSON that it prints."""
    words = command.replace(":8080", f":{port}")
    done = subprocess.run(["sh", "-c", words], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize("database", ["", "sqlite:///demo.db"], ids=["memory", "sqlite"])
def test_the_quick_demo_of_the_seed_works_word_for_word(database):
    env = {"DATABASE_URL": database} if database else {}
    # The demo says localhost, so the server listens where it does by default.
    with running_server(CONDUIT_HOST="", **env) as server:
        created = shell(CREATE, server.port)
        assert created["name"] == "demo"
        assert created["subscriber_count"] == 0
        assert created["message_count"] == 0

        with WsClient(f"ws://localhost:{server.port}/ws") as ws:
            ws.send_raw(SUBSCRIBE)
            assert ws.receive()["topic"] == "demo"

            published = shell(PUBLISH, server.port)
            assert published["topic"] == "demo"
            assert published["subscribers"] == 1

            message = ws.receive("message")
            assert message["payload"] == {"hello": "world"}
            assert message["message_id"] == published["message_id"]
            assert message["topic"] == "demo"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["published_at"])
            ws.send_raw(json.dumps({"type": "ack", "message_id": message["message_id"]}))
            ws.nothing(for_s=1.5)  # the retry would come after 1 s
