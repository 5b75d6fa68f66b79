"""A page that follows more than anybody can read: it stays usable, keeps no more, and stops at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.dashboard import opened, post
from tests.support.http import Api
from tests.support.server import RunningServer, running_server

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

# `bench pages` does it with 5,000 a second for a minute, and measures it.
BATCH_COUNT = 200
PER_S = 1_000
FLOOD_S = 6.0
GROWTH_MAX_BYTES = 24 * 1024 * 1024


class Flood(threading.Thread):
    """Publishes batches on schedule until it is told to end."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.count = 0
        self._url = server.url

    def run(self) -> None:
        api = Api(self._url)
        message = {"topic": "flood", "payload": {"id": 9007199254740993, "text": "x" * 150}}
        body = json.dumps({"messages": [message] * BATCH_COUNT}).encode()
        began = time.monotonic()
        while not self.ended.wait(max(0.0, began + self.count / PER_S - time.monotonic())):
            answer = api.request(
                "POST", "/api/publish/batch", body, {"content-type": "application/json"}
            )
            assert answer.status == 200
            self.count += BATCH_COUNT


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as server:
        post(server, "/api/topics", {"name": "flood", "retention": {"max_messages": 20_000}})
        yield server


def heap_bytes(page: Any) -> int:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: int = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def test_a_flood_leaves_the_page_usable_its_memory_flat_and_a_pause_is_one(browser, server):
    with opened(browser, server, "messages?topic=flood&read=live") as page:
        page.get_by_text("Connected").wait_for()
        flood = Flood(server)
        flood.start()
        try:
            page.get_by_text("Sampled: showing").wait_for()
            page.wait_for_timeout(4_000)
            before = heap_bytes(page)
            until = time.monotonic() + FLOOD_S
            while time.monotonic() < until:
                assert page.evaluate("document.querySelectorAll('[role=row]').length") < 60
                page.wait_for_timeout(200)
            assert heap_bytes(page) - before < GROWTH_MAX_BYTES
            page.get_by_role("button", name="Pause").click()
            page.get_by_role("button", name="Go on").wait_for()
            shown = page.get_by_role("table").inner_text()
            page.wait_for_timeout(1_000)
            assert page.get_by_role("table").inner_text() == shown
        finally:
            flood.ended.set()
            flood.join()
        assert flood.count > PER_S
