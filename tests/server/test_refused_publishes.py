"""Every publish that is answered with an error is counted by its code, once, whoever refuses it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import pytest

from conduit.broker.broker import Broker
from conduit.errors import InvalidRequest
from conduit.protocol.codes import CODES
from conduit.server.rest.api import create_api
from tests.server.peer import ANSWER, REQUEST, TEXT, frame
from tests.server.port import TOPIC, Port, chunked, open_port, publish, request
from tests.server.test_session import heard

BATCH = "/api/publish/batch"


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with open_port(create_api, max_batch_bytes=100_000, max_payload_bytes=10_000) as port:
        yield port


def refused(broker: Broker) -> dict[str, int]:
    return {code: count for code, count in broker.stats.publish_errors.items() if count}


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


OVER_HTTP = {
    "not JSON": (request("POST", "/api/publish", b"{"), "malformed_json"),
    "no body": (request("POST", "/api/publish"), "malformed_json"),
    "no payload": (request("POST", "/api/publish", body(topic=TOPIC)), "invalid_request"),
    "a field": (
        request("POST", "/api/publish", body(topic=TOPIC, payload=1, x=1)),
        "unknown_field",
    ),
    "a key": (publish(1, key=""), "invalid_request"),
    "no topic": (publish(1, topic="nowhere"), "topic_not_found"),
    "no name": (publish(1, topic="a b"), "invalid_topic"),
    "a length": (publish("x" * 90_000), "payload_too_large"),
    "chunks": (
        request("POST", "/api/publish", None, "Transfer-Encoding: chunked")
        + chunked(body(topic=TOPIC, payload="x" * 90_000), 50_000),
        "payload_too_large",
    ),
    "a coding": (publish(1, "Content-Encoding: gzip"), "unsupported_media_type"),
    "a header twice": (publish(1, "Idempotency-Key: a\r\nIdempotency-Key: b"), "invalid_request"),
    "a query": (request("POST", "/api/publish?x=1", body(topic=TOPIC, payload=1)), "unknown_field"),
    "no batch": (request("POST", BATCH, b"[]"), "invalid_request"),
    "an empty batch": (request("POST", BATCH, body(messages=[])), "invalid_request"),
    "a batch": (request("POST", BATCH, body(messages=[{"topic": TOPIC}])), "invalid_request"),
    "a key of a batch": (
        request(
            "POST", BATCH, body(messages=[{"topic": TOPIC, "payload": 1}]), "Idempotency-Key: a"
        ),
        "invalid_request",
    ),
    "a large batch": (request("POST", BATCH, b" " * 100_001), "payload_too_large"),
}


@pytest.mark.parametrize("case", OVER_HTTP)
async def test_over_http_it_is_counted_as_it_is_answered(port: Port, case: str):
    sent, code = OVER_HTTP[case]
    client = await port.connect()
    await client.send(sent)
    assert (await client.answer()).json["code"] == code
    assert refused(port.context.broker) == {code: 1}


async def test_what_is_no_publish_is_not_counted(port: Port):
    client = await port.connect()
    await client.send(request("GET", "/api/publish"))
    assert (await client.answer()).json["code"] == "method_not_allowed"
    await client.send(request("POST", "/api/topics", b"{"))
    assert (await client.answer()).json["code"] == "malformed_json"
    await client.send(publish(1))
    assert (await client.answer()).status == 200
    assert refused(port.context.broker) == {}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b'{"type":"publish","topic":"t"}', "invalid_request"),
        (b'{"topic":"t","payload":1,"colour":1,"type":"publish"}', "unknown_field"),
        (b'{"type":"publish","topic":"t","payload":01}', "malformed_json"),
        (b'{"type":"publish","topic":"nowhere","payload":1}', "topic_not_found"),
        (
            b'{"type":"publish","topic":"t","payload":1,"ref":"%b"}' % (b"x" * 129),
            "invalid_request",
        ),
        (b'{"type":"ack","message_id":"publish","x":1}', None),
        (b'{"type":"published","topic":"t"}', None),
        (b'{"payload":{"type":"publish"},"x":1}', None),
    ],
    ids=repr,
)
async def test_over_websocket_too(port: Port, sent: bytes, code: str | None):
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    await client.send(frame(TEXT, sent))
    answer = await heard(client)
    assert answer["type"] == "error"
    assert refused(port.context.broker) == ({} if code is None else {code: 1})
    assert code in (None, answer["code"])


async def test_a_code_that_is_in_no_table_is_no_label(port: Port):
    broker = port.context.broker
    broker.refused_publishes.add(InvalidRequest("odd", code="made_up"))
    assert refused(broker) == {"internal": 1}
    assert "internal" in CODES


async def test_the_log_tells_of_a_producer_all_of_whose_publishes_are_refused(port: Port, caplog):
    caplog.set_level(logging.WARNING, logger="conduit.broker.causes")
    client = await port.connect()
    for _ in range(3):
        await client.send(request("POST", "/api/publish", body(topic=TOPIC, pay_load=1)))
        await client.answer()
    port.context.broker._ticked()
    (line,) = [record.getMessage() for record in caplog.records]
    assert (
        line
        == "publishes refused with unknown_field: 3, the last because: unknown field 'pay_load'"
    )
