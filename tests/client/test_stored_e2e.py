"""Stored messages through the client: looked at, searched, counted when they die, purged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from conduit.client import AsyncConduit, DeadLetterFilter, messages
from conduit.errors import InvalidRequest
from tests.support.http import Api, accepted
from tests.support.server import RunningServer, running_server
from tests.support.wait import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


async def test_messages_are_found_in_pages_from_both_ends(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        for number in range(250):
            await client.publish("t", number, key=str(number % 2), headers={"n": str(number)})
        found = [message.seq async for message in client.messages.find("t")]
        assert found == list(range(1, 251))
        newest = client.messages.find("t", from_seq=4, newest_first=True, key="1")
        assert [message.seq async for message in newest] == [4, 2]
        since = datetime.now(UTC) - timedelta(hours=1)
        named = client.messages.find("t", headers={"n": "7"}, contains="7", from_time=since)
        (message,) = [message async for message in named]
        assert (message.seq, message.key, message.headers) == (8, "1", {"n": "7"})
        page = await client.messages.page("t", 1, contains="24", from_seq=1)
        assert (page.messages[0].seq, page.next, page.scanned_to) == (25, 26, 25)
        detail = await client.messages.get(message.message_id)
        assert (detail.payload, detail.deliveries) == (message.payload, [])
        monkeypatch.setattr(messages, "DELIVERY_PAGE_COUNT", 2)
        names = [f"s{number}" for number in range(5)]
        for name in names:
            accepted(
                await asyncio.to_thread(
                    Api(server.url).post, "/api/subscriptions", {"name": name, "topic": "t"}
                ),
                201,
            )
        detail = await client.messages.get(message.message_id)
        assert [each.subscription for each in detail.deliveries] == names
        with pytest.raises(InvalidRequest):
            await client.messages.page("t", from_time=since.replace(tzinfo=None))


async def test_dead_letters_are_grouped_and_a_purge_leaves_them(server: RunningServer) -> None:
    async with AsyncConduit(server.url) as client:
        await client.topics.create("t")
        async with client.subscribe("t", "work", start="earliest") as stream:
            for number in range(3):
                await client.publish("t", number)
                await (await anext(stream)).reject("odd" if number % 2 else "even")
        api = Api(server.url)
        await asyncio.to_thread(until, lambda: len(api.dead_letters()) == 3)
        groups = await client.dead_letters.groups(DeadLetterFilter(topic="t"))
        assert [(group.reason, group.count) for group in groups] == [("even", 2), ("odd", 1)]
        assert (await client.dead_letters.get(groups[1].sample_id)).reason == "odd"
        told: list[tuple[int, int]] = []
        assert await client.topics.purge("t", dry_run=True) == 3
        assert await client.topics.purge("t", on_step=lambda *step: told.append(step)) == 3
        assert told == [(3, 3)]
        assert await client.dead_letters.groups() == groups
        # What was answered as purged stays so.
        await asyncio.to_thread(server.restart)
        topic = await client.topics.get("t")
        assert (topic.first_seq, topic.last_seq) == (4, 3)
        assert (await client.publish("t", "new")).seq == 4
