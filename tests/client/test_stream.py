from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conduit.client import (
    ApiError,
    AsyncConduit,
    BadAnswer,
    ConnectionFailed,
    GapEvent,
    Stream,
    UnreadablePayload,
)
from conduit.client.connection import CLOSE_TIMEOUT_S
from conduit.errors import InvalidRequest
from tests.client.peer import Peer, Script, peers
from tests.support.server import free_port
from tests.support.wait import DEADLINE_S


@asynccontextmanager
async def streaming(
    scripts: list[Script], topic: str, subscription: str | None = None, **settings: Any
) -> AsyncIterator[Stream]:
    """A stream from a server whose connections follow the scripts."""
    async with (
        peers(*scripts) as url,
        AsyncConduit(url) as client,
        client.subscribe(topic, subscription, **settings) as stream,
    ):
        yield stream


async def take(stream: Stream, count: int) -> list[int]:
    """Receive so many, ack them, and return their numbers."""
    seqs = []
    for _ in range(count):
        delivery = await anext(stream)
        seqs.append(delivery.message.seq)
        await delivery.ack()
    return seqs


async def test_deliveries_come_in_order_and_settle_with_the_frames_of_the_wire() -> None:
    async def script(peer: Peer) -> None:
        frame = await peer.subscribed(seq=0, epoch="e")
        assert frame == {"type": "subscribe", "topic": "t", "max_in_flight": 9, "ref": frame["ref"]}
        await peer.deliver(1, 2, 3, 4, attempt=2, failures=1)
        said = {"attempt": 2}
        assert await peer.expect("ack") == {"type": "ack", "message_id": "m1", **said}
        nack = {"type": "nack", "message_id": "m2", "delay_ms": 5, "reason": "later", **said}
        assert await peer.expect("nack") == nack
        reject = {"type": "reject", "message_id": "m3", "reason": "never", **said}
        assert await peer.expect("reject") == reject
        extend = {"type": "extend", "message_id": "m4", "ms": 60_000, **said}
        while await peer.expect("extend") != extend:
            pass
        assert await peer.left() == 1000

    async with streaming([script], "t", max_in_flight=9) as stream:
        first, second, third, fourth = [await anext(stream) for _ in range(4)]
        assert first.payload == {"n": 1}
        assert (first.attempt, first.failures, first.message.epoch) == (2, 1, "e")
        await first.ack()
        await second.nack(delay_ms=5, reason="later")
        await third.reject("never")
        await fourth.extend(60_000)


async def test_a_payload_that_python_cannot_hold_is_told_by_its_delivery_and_the_stream_goes_on() -> (
    None
):
    cannot = ["[" * 3_000 + "]" * 3_000, "1e400", "9" * 5_000]

    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        for seq, payload in enumerate(cannot, start=1):
            await peer.socket.send(
                f'{{"type":"message","message_id":"m{seq}","topic":"t","payload":{payload},'
                f'"published_at":"","seq":{seq},"epoch":"e","attempt":1}}'
            )
        await peer.deliver(4)
        for seq in range(1, 4):
            assert (await peer.expect("reject"))["message_id"] == f"m{seq}"
        await peer.left(acks=True)

    async with streaming([script], "t") as stream:
        for seq, payload in enumerate(cannot, start=1):
            delivery = await anext(stream)
            with pytest.raises(UnreadablePayload, match=f"t #{seq} cannot be decoded"):
                _ = delivery.payload
            assert bytes(delivery.message.payload) == payload.encode()
            await delivery.reject()
        assert await take(stream, 1) == [4]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"type":"message","payload":1}'])
async def test_a_frame_that_is_not_conduits_ends_the_stream_with_an_error(text: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.socket.send(text)
        await peer.left()

    async with streaming([script], "t") as stream:
        for _ in range(2):
            with pytest.raises(BadAnswer):
                await anext(stream)


async def test_a_reason_that_json_cannot_say_is_refused_and_the_delivery_can_still_be_settled() -> (
    None
):
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        assert (await peer.expect("reject"))["reason"] == "why"
        await peer.left()

    async with streaming([script], "t") as stream:
        delivery = await anext(stream)
        with pytest.raises(InvalidRequest, match="surrogates"):
            await delivery.reject("\ud800")
        await delivery.reject("why")


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, {}), ({"max_lost": None}, {"max_lost": None}), ({"max_lost": 3}, {"max_lost": 3})],
)
async def test_what_is_left_out_is_left_to_the_server(
    settings: dict[str, Any], said: dict[str, Any]
) -> None:
    async def script(peer: Peer) -> None:
        frame = await peer.subscribed()
        fields = {"type": "subscribe", "topic": "t", "subscription": "s", "ref": frame["ref"]}
        assert frame == fields | said

    async with streaming([script], "t", "s", **settings):
        pass


async def test_a_durable_subscription_is_named_in_every_frame_and_after_a_lost_connection() -> None:
    async def first(peer: Peer) -> None:
        frame = await peer.subscribed(subscription="billing")
        assert (frame["subscription"], frame["start"]) == ("billing", "earliest")
        await peer.deliver(1, subscription="billing")
        assert (await peer.expect("ack"))["subscription"] == "billing"
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.subscribed(subscription="billing")
        assert (frame["subscription"], frame["create"]) == ("billing", False)
        await peer.deliver(2, subscription="billing")
        assert (await peer.expect("ack"))["subscription"] == "billing"

    async with streaming([first, second], "t", "billing", start="earliest") as stream:
        assert await take(stream, 2) == [1, 2]


async def test_an_ephemeral_stream_resumes_at_the_first_unsettled_and_skips_what_is_done() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e1")
        await peer.deliver(1, 2, 3)
        assert (await peer.expect("ack"))["message_id"] == "m1"
        assert (await peer.expect("ack"))["message_id"] == "m3"
        await peer.close(1001)

    async def second(peer: Peer) -> None:
        frame = await peer.subscribed(seq=1, epoch="e1", recovered=True)
        assert frame["start"] == {"seq": 2, "epoch": "e1"}
        assert frame["create"] is False
        await peer.deliver(2, 3, 4)
        acks = [(await peer.expect("ack"))["message_id"] for _ in range(3)]
        assert sorted(acks) == ["m2", "m3", "m4"]

    async with streaming([first, second], "t") as stream:
        one, two, three = [await anext(stream) for _ in range(3)]
        await one.ack()
        await three.ack()
        del two
        assert await take(stream, 2) == [2, 4]


async def test_a_pattern_resumes_by_the_position_of_each_topic() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed()
        await peer.deliver(5, topic="a.x", epoch="e1")
        await peer.deliver(9, topic="a.y", epoch="e2")
        await peer.close(4008)

    async def second(peer: Peer) -> None:
        frame = await peer.subscribed(recovered=True)
        assert frame["start"] == {
            "positions": {"a.x": {"seq": 6, "epoch": "e1"}, "a.y": {"seq": 10, "epoch": "e2"}}
        }
        await peer.deliver(6, topic="a.x")

    async with streaming([first, second], "a.*", ack="auto") as stream:
        assert await take(stream, 3) == [5, 9, 6]


@pytest.mark.parametrize("code", [4500, 4529, 1003])
async def test_a_final_close_code_ends_the_iteration_for_good(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await peer.close(code)

    async with streaming([script], "t") as stream:
        await anext(stream)
        for _ in range(2):
            with pytest.raises(ConnectionFailed, match=str(code)):
                await anext(stream)


async def test_a_refused_subscribe_is_raised_on_entering() -> None:
    async def script(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="subscription_conflict", message="no", ref=frame["ref"])
        assert await peer.left() == 1000

    async with peers(script) as url, AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.subscribe("t", "s").__aenter__()
    assert (raised.value.code, raised.value.status) == ("subscription_conflict", 409)


async def test_a_refusal_after_a_lost_connection_ends_the_iteration() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="limit_reached", message="no", ref=frame["ref"])

    async with streaming([first, second], "t") as stream:
        with pytest.raises(ApiError) as raised:
            await anext(stream)
    assert raised.value.code == "limit_reached"


async def test_nobody_there_is_raised_on_entering() -> None:
    async with AsyncConduit(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(ConnectionFailed):
            await client.subscribe("t").__aenter__()


async def test_the_time_that_the_server_names_is_waited() -> None:
    loop = asyncio.get_running_loop()
    closed_at = 0.0

    async def first(peer: Peer) -> None:
        nonlocal closed_at
        await peer.subscribed(seq=0, epoch="e")
        await peer.send("closing", reason="shutting_down", reconnect_after_ms=300)
        closed_at = loop.time()
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        assert loop.time() - closed_at >= 0.3
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1)

    async with streaming([first, second], "t", ack="auto") as stream:
        await anext(stream)


async def test_a_gap_reaches_the_application() -> None:
    gaps: list[GapEvent] = []

    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        lost = {"topic": "t", "subscription": "s"}
        await peer.send("gap", **lost, from_seq=1, to_seq=8, reason="retention", epoch="e")
        await peer.send("gap", **lost, from_seq=9, to_seq=None, reason="epoch_changed", epoch="f")
        await peer.deliver(1, epoch="f")

    async with streaming([script], "t", "s", ack="auto", on_gap=gaps.append) as stream:
        assert (await anext(stream)).message.epoch == "f"
    assert gaps == [
        GapEvent("t", 1, 8, "retention", subscription="s", epoch="e"),
        GapEvent("t", 9, None, "epoch_changed", subscription="s", epoch="f"),
    ]


async def test_a_gap_is_logged_when_nobody_asks_for_it(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.send("gap", topic="t", from_seq=1, to_seq=8, reason="retention", epoch="e")
        await peer.deliver(9)

    async with streaming([script], "t", ack="auto") as stream:
        await anext(stream)
    assert "gap in t: 1 to 8 (retention)" in caplog.text


async def test_an_error_of_the_applications_own_callback_ends_the_iteration() -> None:
    def fail(gap: GapEvent) -> None:
        raise RuntimeError(gap.reason)

    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.send("gap", topic="t", from_seq=1, to_seq=8, reason="retention", epoch="e")

    async with streaming([script], "t", on_gap=fail) as stream:
        with pytest.raises(RuntimeError, match="retention"):
            await anext(stream)


async def test_what_is_not_a_frame_ends_the_iteration() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.socket.send('{"type": "message"}')

    async with streaming([script], "t") as stream:
        with pytest.raises(BadAnswer):
            await anext(stream)


async def test_fields_of_tomorrow_do_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e", tomorrow=[1])
        await peer.deliver(1, tomorrow={"a": 1})

    async with streaming([script], "t", ack="auto") as stream:
        assert await take(stream, 1) == [1]


async def test_a_slow_application_with_automatic_acks_stops_the_reading_and_loses_nothing() -> None:
    count = 5_000

    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(*range(1, count + 1))

    async with streaming([script], "t", ack="auto") as stream:
        assert await take(stream, count) == list(range(1, count + 1))


async def test_leaving_does_not_wait_for_what_was_not_taken() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(*range(1, 1001))
        assert await peer.left() == 1000

    loop = asyncio.get_running_loop()
    async with streaming([script], "t", ack="auto") as stream:
        await anext(stream)
        leaving_at = loop.time()
    assert loop.time() - leaving_at < CLOSE_TIMEOUT_S / 2


async def test_what_is_rejected_while_there_is_no_connection_is_rejected_on_the_next_one() -> None:
    lost, over = asyncio.Event(), asyncio.Event()

    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1, 2)
        await peer.expect("ack")
        peer.socket.transport.abort()

    async def second(peer: Peer) -> None:
        await lost.wait()
        frame = await peer.subscribed(seq=0, epoch="e")
        assert frame["start"] == {"seq": 1, "epoch": "e"}
        await peer.deliver(1)
        assert (await peer.expect("reject"))["message_id"] == "m1"
        over.set()
        await peer.left()

    async with streaming([first, second], "t") as stream:
        one, two = await anext(stream), await anext(stream)
        await two.ack()
        async with asyncio.timeout(DEADLINE_S):
            # Nobody is told.
            for _ in itertools.count():
                if stream._connection is None:
                    break
                await asyncio.sleep(0)
        await one.reject("never")
        lost.set()
        await over.wait()
