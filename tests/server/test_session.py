"""The order of frames and the end of a connection, over a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from conduit.names import DEFAULT_TENANT as T
from tests.server.peer import ANSWER, CLOSE, REQUEST, TEXT, frame
from tests.server.port import TOPIC, Client, Port, open_port, publish


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with open_port() as port:
        yield port


def said(**fields: object) -> bytes:
    return frame(TEXT, json.dumps(fields).encode())


async def heard(client: Client) -> dict[str, object]:
    """The next frame of the server, which is longer than 125 bytes or shorter."""
    _, length = await client.reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await client.reader.readexactly(2), "big")
    return json.loads(await client.reader.readexactly(length))


async def subscribed(port: Port, name: str) -> Client:
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    await client.send(said(type="subscribe", topic=TOPIC, subscription=name))
    assert (await heard(client))["type"] == "subscribed"
    return client


async def test_what_came_behind_a_subscribe_takes_effect_although_the_connection_ends(port: Port):
    client = await subscribed(port, "s")
    publisher = await port.connect()
    await publisher.send(publish(1))
    message = await heard(client)
    async with port.broker._owned.changing:
        # In one read: the server reads no further than a subscribe.
        await client.send(
            said(type="subscribe", topic=TOPIC, subscription="waits")
            + said(type="ack", message_id=message["message_id"])
            + said(type="publish", topic=TOPIC, payload=2)
            + said(type="subscribe", topic=TOPIC, subscription="never made")
            + frame(CLOSE, b"\x03\xe8")
        )
        await port.until(lambda: not port.context.sessions)
    await port.until(lambda: port.last_seq == 2)
    await port.broker._engine.progress.stored()
    view = await port.broker.subscriptions.get(T, "s")
    assert [place.floor for place in view.topics] == [1]
    assert port.broker._owned.find(T, "never made") is None
