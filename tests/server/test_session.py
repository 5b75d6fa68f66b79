"""What a connection's end means for what it had, over a socket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from conduit.broker.stats import Stats
from conduit.core.liveness import DEFAULT_TIMING
from conduit.names import DEFAULT_TENANT as T
from conduit.server.session import BAD_FRAMES_MAX_COUNT, Session
from conduit.server.slow import SlowClosed
from conduit.storage.dead_letters import DeadFilter
from tests.server.peer import ANSWER, CLOSE, REQUEST, TEXT, frame
from tests.server.port import TOPIC, Client, Port, open_port, publish
from tests.server.ticking import Ticking
from tests.storage.given import letters_count


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


async def subscribed(port: Port, name: str, **settings: object) -> Client:
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    await client.send(said(type="subscribe", topic=TOPIC, subscription=name, **settings))
    assert (await heard(client))["type"] == "subscribed"
    return client


async def handed(port: Port, **settings: object) -> tuple[Client, dict[str, object]]:
    """A client of the subscription `s`, and the message that it has."""
    client = await subscribed(port, "s", **settings)
    publisher = await port.connect()
    await publisher.send(publish(1))
    return client, await heard(client)


async def handed_and_late(port: Port) -> tuple[Client, dict[str, object], Callable[[], None]]:
    """The same of one that dies when it is late, and what makes it so; by itself no time passes."""
    deadlines = port.broker._engine.deadlines
    deadlines.stop()

    def make_late() -> None:
        # The first one finds it due, the second one judges it.
        for _ in range(2):
            deadlines.sweep(port.broker.clock.now() + 60)

    client, message = await handed(port, ack_wait_ms=10, max_attempts=1)
    return client, message, make_late


async def test_what_came_behind_a_subscribe_takes_effect_although_the_connection_ends(port: Port):
    client, message = await handed(port)
    async with port.broker._owned.turns.taken((T, "waits")):
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


def abort(port: Port, client: Client) -> None:
    client.writer.transport.abort()


def break_the_wire(port: Port, client: Client) -> None:
    client.writer.write(frame(TEXT, b"\xff"))


def restart(port: Port, client: Client) -> None:
    for session in tuple(port.context.sessions):
        session.announce_restart(0)
        session.abort()


@pytest.mark.parametrize(
    ("end", "is_lost"), [(abort, True), (break_the_wire, True), (restart, False)]
)
async def test_what_a_lost_connection_had_is_counted_as_lost(port: Port, end, is_lost):
    client, _ = await handed(port, max_lost=1)
    end(port, client)
    await until_dropped(port)
    assert await dead_reasons(port) == (["connection_lost"] if is_lost else [])


async def test_what_a_connection_had_that_we_closed_and_that_never_answered_is_not_lost(port: Port):
    await port.broker.topics.create(T, "other")
    client, _ = await handed(port, max_lost=1)
    await client.send(said(type="subscribe", topic="other"))
    await heard(client)
    await port.broker.topics.delete(T, "other")
    await until_dropped(port)
    assert await dead_reasons(port) == []


async def until_dropped(port: Port) -> None:
    """The connections end, or are closing; and the time passes that a peer has to answer a close frame."""
    await port.until(lambda: all(session.closing for session in port.context.sessions))
    for now in (0.0, port.context.timing.close_timeout_s):
        for session in tuple(port.context.sessions):
            session.check(now)
    await port.until(lambda: not port.context.sessions)


async def dead_reasons(port: Port) -> list[str]:
    await port.broker._engine.progress.stored()
    return [dead.reason for dead in await port.store.dead_list(T, DeadFilter(), limit=10)]


async def test_acks_behind_a_subscribe_that_waits_for_the_store_are_in_time(port: Port):
    client, message, make_late = await handed_and_late(port)
    async with port.broker._owned.turns.taken((T, "waits")):
        await client.send(
            said(type="subscribe", topic=TOPIC, subscription="waits")
            + said(type="ack", message_id=message["message_id"], ref="in time")
        )
        (session,) = (one for one in port.context.sessions if one._connection._shares)
        await port.until(lambda: session.heard_until < 0)
        make_late()
    assert (await heard(client))["type"] == "subscribed"
    assert (await heard(client))["type"] == "acked"
    assert session.heard_until > 0
    assert await letters_count(port.broker.store, T, DeadFilter()) == 0


async def test_while_acks_are_looked_up_the_connection_is_not_read_and_nothing_fails(port: Port):
    client = await subscribed(port, "s", ack_wait_ms=10, max_attempts=1)
    port.broker._engine.deadlines.stop()
    publisher = await port.connect()
    for number in range(3):
        await publisher.send(publish(number))
        await port.until(lambda count=number + 1: port.last_seq == count)
    messages = [await heard(client) for _ in range(3)]
    port.broker._engine.index._young.clear()
    acks = [
        said(type="ack", message_id=message["message_id"], ref=str(message["seq"]))
        for message in messages
    ]
    await client.send(b"".join(acks))
    assert [(await heard(client))["type"] for _ in acks] == ["acked"] * 3
    (session,) = (one for one in port.context.sessions if one._connection._shares)
    await port.until(lambda: session.heard_until > 0)
    await client.send(said(type="heartbeat"))
    assert (await heard(client))["type"] == "heartbeat_ack"


async def test_a_reject_that_must_be_looked_up_takes_effect_although_the_connection_ends(
    port: Port,
):
    client, message = await handed(port)
    port.broker._engine.index._young.clear()
    port.store.gate.clear()
    await client.send(
        said(type="reject", message_id=message["message_id"]) + frame(CLOSE, b"\x03\xe8")
    )
    await port.until(lambda: not port.context.sessions)
    port.store.gate.set()
    await port.until(lambda: not port.broker.router.subscriber_count)
    await port.broker._engine.progress.stored()
    assert await letters_count(port.store, T, DeadFilter()) == 1


@pytest.mark.parametrize(
    "verb",
    [
        {"type": "nack", "delay_ms": -1},
        {"type": "nack", "delay_ms": 1.5},
        {"type": "reject", "reason": "r" * 513},
        {"type": "extend", "ms": 0},
        {"type": "ack", "seq": 1},
    ],
    ids=repr,
)
async def test_the_error_of_a_verb_that_cannot_be_used_names_the_message(port: Port, verb):
    client = await subscribed(port, "s")
    await client.send(said(**verb, message_id="m1"))
    error = await heard(client)
    assert (error["type"], error["code"], error["message_id"]) == (
        "error",
        "invalid_request",
        "m1",
    )


async def test_a_subscriber_that_does_not_drain_is_counted_and_named_in_the_log(port: Port, caplog):
    caplog.set_level(logging.INFO)
    client = await subscribed(port, "billing")
    (session,) = port.context.sessions
    session.pause_writing()
    for now in (0, DEFAULT_TIMING.slow_timeout_s):
        session.check(now)
    assert port.broker.stats.slow_closed_count == 1
    host, number = client.writer.get_extra_info("sockname")
    port.context.slow.tell()
    port.context.slow.tell()
    assert caplog.messages == [
        f"closed 1 slow subscriber with 4008, which took too little: {host}:{number} (billing)"
    ]


async def test_one_that_is_written_to_beyond_the_bound_is_counted_too(port: Port):
    await subscribed(port, "s")
    (session,) = port.context.sessions
    while not session.closing:
        session.write(bytes(1 << 20))
    assert port.broker.stats.slow_closed_count == 1


def test_of_many_slow_subscribers_a_few_are_named(caplog):
    caplog.set_level(logging.INFO)
    slow = SlowClosed(Stats(0.0))
    for number in range(1000):
        slow.add(("10.0.0.1", number), [f"t{topic}" for topic in range(7)])
    slow.tell()
    (line,) = caplog.messages
    assert line.startswith(
        "closed 1000 slow subscribers with 4008, which took too little: 10.0.0.1:0 (t0, "
    )
    assert "t4 and 2 more)" in line
    assert line.endswith(" and 995 more")
    assert line.count("10.0.0.1") == 5


async def flooded(port: Port, client: Client, frames: bytes) -> Session:
    """Its session, which has read all of these and has not handled them."""
    session = next(one for one in port.context.sessions if one._connection._shares)
    port.context.intake.now = Ticking()
    await client.send(frames)
    await port.until(lambda: session.is_behind)
    return session


async def test_acks_behind_many_frames_of_one_read_are_in_time(port: Port):
    client, message, make_late = await handed_and_late(port)
    ack = said(type="ack", message_id=message["message_id"], ref="in time")
    session = await flooded(port, client, said(type="heartbeat") * 300 + ack)
    assert session.heard_until < 0
    make_late()
    for _ in range(300):
        assert (await heard(client))["type"] == "heartbeat_ack"
    assert (await heard(client))["type"] == "acked"
    await port.until(lambda: session.heard_until > 0)
    assert await letters_count(port.store, T, DeadFilter()) == 0


async def test_what_was_read_takes_effect_although_the_connection_is_lost(port: Port):
    client, message = await handed(port)
    session = await flooded(
        port,
        client,
        said(type="heartbeat") * 300
        + said(type="ack", message_id=message["message_id"])
        + said(type="publish", topic=TOPIC, payload=2)
        + said(type="subscribe", topic=TOPIC, subscription="never made"),
    )
    # Of a write that fails a connection hears while it is not read.
    session._transport.abort()
    await port.until(lambda: not port.context.sessions)
    await port.until(lambda: port.last_seq == 2)
    await port.broker._engine.progress.stored()
    view = await port.broker.subscriptions.get(T, "s")
    assert [place.floor for place in view.topics] == [1]
    assert port.broker._owned.find(T, "never made") is None


async def test_what_was_read_behind_a_subscribe_takes_effect_although_the_connection_is_lost(
    port: Port,
):
    client, message = await handed(port)
    async with port.broker._owned.turns.taken((T, "waits")):
        session = await flooded(
            port,
            client,
            said(type="subscribe", topic=TOPIC, subscription="waits")
            + said(type="heartbeat") * 300
            + said(type="ack", message_id=message["message_id"]),
        )
        for _ in range(50):
            await asyncio.sleep(0)
        assert session.is_behind
        session._transport.abort()
        await port.until(lambda: not port.context.sessions)
    await port.broker._engine.turn.finished()
    await port.broker._engine.progress.stored()
    view = await port.broker.subscriptions.get(T, "s")
    assert [place.floor for place in view.topics] == [1]


# Bad frames ---------------------------------------------------------------------------------------


async def closed_with(client: Client) -> tuple[int, str]:
    """The code and the reason of the close frame that comes next."""
    first, length = await client.reader.readexactly(2)
    assert first & 0x0F == CLOSE
    payload = await client.reader.readexactly(length)
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


BAD = {
    "no JSON": b"{",
    "no type": b"{}",
    "unknown type": b'{"type":"none"}',
    "an unknown field": b'{"type":"heartbeat","x":1}',
    "a publish to no topic": b'{"type":"publish","topic":"..","payload":1}',
    "an ack of nothing": b'{"type":"ack"}',
    "a subscribe to no pattern": b'{"type":"subscribe","topic":".."}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_who_sends_more_bad_frames_than_it_may_is_closed_and_told_why(
    port: Port, bad: bytes, caplog: pytest.LogCaptureFixture
):
    client = await port.connect()
    good = said(type="publish", topic=TOPIC, payload=1)
    void = said(type="publish", topic=TOPIC, payload="void") * 1_000
    await client.send(REQUEST + frame(TEXT, bad) * BAD_FRAMES_MAX_COUNT + good)
    await client.reader.readexactly(len(ANSWER))
    for _ in range(BAD_FRAMES_MAX_COUNT):
        assert (await heard(client))["type"] == "error"
    assert (await heard(client))["type"] == "published"
    await client.send(frame(TEXT, bad) + void)
    assert (await heard(client))["code"] != "too_many_bad_frames"
    assert (await heard(client))["code"] == "too_many_bad_frames"
    assert await closed_with(client) == (4529, "too_many_bad_frames")
    (session,) = port.context.sessions
    assert session.is_lost
    session.abort()
    await port.until(lambda: not port.context.sessions)
    assert port.last_seq == 1
    stats = port.broker.stats
    assert (stats.bad_frame_count, stats.bad_closed_count) == (BAD_FRAMES_MAX_COUNT + 1, 1)
    port.context.closings.report(0.0)
    (line,) = [one.getMessage() for one in caplog.records if "4529" in one.getMessage()]
    assert line.startswith("1 connection was closed with 4529")
    assert line.endswith("; from 127.0.0.1 (1)")


async def test_who_sends_a_bad_frame_now_and_then_is_not_closed(port: Port):
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    (session,) = port.context.sessions
    for second in range(3 * BAD_FRAMES_MAX_COUNT):
        session.check(float(second))
        await client.send(frame(TEXT, b"{}"))
        assert (await heard(client))["type"] == "error"
    assert not session.closing


async def test_what_is_refused_for_another_reason_is_no_bad_frame(port: Port):
    client = await port.connect()
    await client.send(REQUEST)
    await client.reader.readexactly(len(ANSWER))
    unknown = said(type="publish", topic="unknown", payload=1)
    for _ in range(2 * BAD_FRAMES_MAX_COUNT):
        await client.send(unknown)
        assert (await heard(client))["code"] == "topic_not_found"
