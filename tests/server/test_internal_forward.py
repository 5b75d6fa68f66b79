"""`POST /internal/forward`: what another node says that it has stored."""

from __future__ import annotations

import json

import pytest

from conduit.cluster.apart.copying import Copying
from conduit.cluster.hearing import Hearing
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codec import format_time
from conduit.protocol.frames import Subscribe
from conduit.server.rest.api import create_api
from tests.broker.kit import Peer
from tests.server.port import TOPIC, open_port, request
from tests.storage import given

SECRET = "a-secret-of-nodes"
PROOF = f"X-Internal-Secret: {SECRET}"
PATH = "/internal/forward"


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        port.context.gate.internal_secrets = [SECRET]
        port.store.server_count = 2
        port.context.hearing = hearing = Hearing(port.broker)
        yield port
        hearing.close()


async def forward(port, body: object):
    client = await port.connect()
    await client.send(request("POST", PATH, json.dumps(body).encode(), PROOF))
    return await client.answer()


async def stored_elsewhere(port, count: int) -> list[dict[str, object]]:
    """What another node has stored in TOPIC, as it would forward it."""
    topic = port.broker.topics.get(T, TOPIC)
    batch = [given.message(topic.topic_id, b'{"n":%d}' % n) for n in range(count)]
    seqs = await port.store.append(batch)
    return [
        {
            "topic": TOPIC,
            "message_id": new.message_id,
            "payload": json.loads(new.payload),
            "published_at": format_time(new.published_at_ms),
            "seq": seq,
            "epoch": topic.epoch,
        }
        for new, seq in zip(batch, seqs, strict=True)
    ]


async def subscriber(port) -> Peer:
    peer = Peer()
    await port.broker.connect(T, peer).subscribe(Subscribe(TOPIC, ack="auto"))
    return peer


async def test_a_message_and_a_batch_reach_the_subscribers_and_are_stored_no_second_time(port):
    peer = await subscriber(port)
    first, *others = await stored_elsewhere(port, 4)
    appended_count = port.store.appended_count
    answer = await forward(port, {**first, "key": "k", "headers": {"h": "x"}})
    assert (answer.status, answer.json) == (200, {"messages": 1})
    assert (await forward(port, {"messages": others})).json == {"messages": 3}
    await port.until(lambda: len(peer.seqs) == 4)
    assert peer.seqs == [1, 2, 3, 4]
    frame = peer.of("message")[0]
    assert (frame["payload"], frame["key"], frame["headers"]) == ({"n": 0}, "k", {"h": "x"})
    # Again, and late.
    await forward(port, {"messages": [first, *others]})
    assert peer.seqs == [1, 2, 3, 4]
    assert port.store.appended_count == appended_count


async def test_a_message_without_its_number_is_found_in_the_log(port):
    peer = await subscriber(port)
    [told] = await stored_elsewhere(port, 1)
    body = {name: told[name] for name in ("topic", "message_id", "payload", "published_at")}
    assert (await forward(port, {**body, "anything": "else"})).status == 200
    await port.until(lambda: peer.seqs == [1])


async def test_what_the_log_does_not_have_reaches_nobody(port):
    peer = await subscriber(port)
    [told] = await stored_elsewhere(port, 1)
    assert (await forward(port, {**told, "seq": 77})).status == 200
    assert (await forward(port, {**told, "epoch": "another"})).status == 200
    assert (await forward(port, {**told, "topic": "nowhere"})).status == 200
    await forward(port, told)
    await port.until(lambda: peer.seqs == [1])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"topic": "no topic"}, "topic"),
        ({"topic": None}, "topic"),
        ({"message_id": "x"}, "message_id"),
        ({"seq": 0}, "seq"),
        ({"seq": 1 << 60}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"published_at": "yesterday"}, "published_at"),
        ({"key": ""}, "key"),
        ({"payload": "x" * 300_000}, "payload"),
    ],
)
@pytest.mark.parametrize("in_batch", [False, True], ids=["alone", "batch"])
async def test_what_is_wrong_is_named(port, change, field, in_batch):
    [told] = await stored_elsewhere(port, 1)
    wrong = {**told, **change}
    answer = await forward(port, {"messages": [told, wrong]} if in_batch else wrong)
    assert (answer.status, answer.json["field"]) == (
        400 if field != "payload" else 413,
        f"messages[1].{field}" if in_batch else field,
    )


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": 7}, [], 7, {"messages": [{}]}])
async def test_other_bodies_are_refused(port, body):
    assert (await forward(port, body)).status == 400


async def test_a_node_whose_log_is_its_own_says_so(port):
    port.context.hearing = None
    answer = await forward(port, {"topic": TOPIC})
    assert (answer.status, answer.json["code"]) == (409, "conflict")


# Nodes that share no log ------------------------------------------------------------------------


@pytest.fixture
async def apart(port):
    """The same server, whose log is its own."""
    port.context.hearing = copying = Copying(port.broker, lambda _tenant, _topic: True)
    yield port
    copying.close()


async def test_without_a_shared_log_a_message_is_stored_under_its_id_and_needs_no_number(apart):
    peer = await subscriber(apart)
    id_ = "550e8400-e29b-41d4-a716-446655440000"
    body = {"topic": TOPIC, "message_id": id_, "payload": {"n": 1}}
    assert (await forward(apart, body)).status == 200
    assert (await forward(apart, {**body, "seq": 77, "epoch": "theirs"})).status == 200
    await apart.until(lambda: apart.context.hearing.repeated_count == 1)
    [frame] = peer.of("message")
    assert (frame["message_id"], frame["seq"], frame["payload"]) == (id_, 1, {"n": 1})


async def test_there_it_is_no_use_to_say_only_that_there_is_something(apart):
    answer = await forward(apart, {"topic": TOPIC, "payload": 1})
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert "share no log" in answer.json["detail"]
