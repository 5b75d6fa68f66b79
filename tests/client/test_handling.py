"""Slow applications, deliveries that come again, and leaving: what the server sees of a stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conduit.client import AsyncConduit
from conduit.errors import InvalidRequest
from conduit.protocol.frames import DELAY_MAX_MS, REASON_MAX_BYTES
from tests.client.peer import Peer, peers
from tests.client.test_stream import streaming, take

# So short that extensions come at once, and no test waits for them.
SHORT_MS = 10


@pytest.mark.parametrize("ack_wait_ms", [SHORT_MS, 1000, None])
async def test_what_waits_and_what_the_application_works_on_is_kept_from_timing_out(
    ack_wait_ms: int | None,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1, 2, attempt=3)
        extensions = [await peer.expect("extend") for _ in range(2)]
        assert [(frame["message_id"], frame["attempt"]) for frame in extensions] == [
            ("m1", 3),
            ("m2", 3),
        ]
        done.set()
        await peer.expect("ack")
        await peer.expect("ack")

    done = asyncio.Event()
    settings = {} if ack_wait_ms is None else {"ack_wait_ms": ack_wait_ms}
    async with streaming([script], "t", **settings) as stream:
        delivery = await anext(stream)
        await done.wait()
        await delivery.ack()
        assert await take(stream, 1) == [2]


async def test_a_message_that_comes_again_while_it_is_worked_on_is_not_handed_out_twice() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await taken.wait()
        await peer.deliver(1, attempt=2)
        await peer.deliver(2)
        ack = await peer.expect("ack")
        assert (ack["message_id"], ack["attempt"]) == ("m1", 2)
        await peer.expect("ack")
        assert await peer.left() == 1000

    taken = asyncio.Event()
    async with streaming([script], "t") as stream:
        first = await anext(stream)
        taken.set()
        second = await anext(stream)
        assert [first.message.seq, second.message.seq] == [1, 2]
        await first.ack()
        await second.ack()


async def test_a_message_that_comes_again_while_it_waits_is_handed_out_as_the_newest() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1, 2)
        await peer.deliver(2, attempt=2, failures=1)
        await mark(peer)
        assert (await peer.expect("ack"))["attempt"] == 2
        await peer.deliver(3)
        assert (await peer.expect("ack"))["message_id"] == "m3"

    marked = asyncio.Event()
    async with streaming([script], "t", on_gap=lambda _: marked.set()) as stream:
        await marked.wait()
        first, second = await anext(stream), await anext(stream)
        assert (second.message.seq, second.attempt, second.failures) == (2, 2, 1)
        await second.ack()
        assert await take(stream, 1) == [3]
        del first


async def test_a_nack_of_an_attempt_that_is_over_says_nothing_and_hands_out_the_newer_one() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await taken.wait()
        await peer.deliver(1, attempt=2)
        await mark(peer)
        nack = await peer.expect("nack")
        assert (nack["attempt"], nack["reason"]) == (2, "again")

    taken, marked = asyncio.Event(), asyncio.Event()
    async with streaming([script], "t", on_gap=lambda _: marked.set()) as stream:
        delivery = await anext(stream)
        taken.set()
        await marked.wait()
        await delivery.nack(reason="over")
        newer = await anext(stream)
        assert newer.attempt == 2
        await newer.nack(reason="again")


@pytest.mark.parametrize("subscription", [None, "s"])
async def test_what_crossed_its_ack_is_acked_again_and_not_handed_out(
    subscription: str | None,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        assert (await peer.expect("ack"))["attempt"] == 1
        await peer.deliver(1, attempt=2, subscription=subscription)
        ack = await peer.expect("ack")
        assert (ack["message_id"], ack["attempt"]) == ("m1", 2)
        await peer.deliver(2)
        assert (await peer.expect("ack"))["message_id"] == "m2"

    async with streaming([script], "t", subscription) as stream:
        assert await take(stream, 2) == [1, 2]


async def test_a_message_that_is_redriven_reaches_the_application_that_rejected_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed()
        await peer.deliver(1)
        await peer.expect("reject")
        await peer.deliver(1)
        assert (await peer.expect("ack"))["attempt"] == 1

    async with streaming([script], "t", "s") as stream:
        await (await anext(stream)).reject()
        assert await take(stream, 1) == [1]


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_lost_connection_does_not_hand_out_twice_what_is_worked_on(attempt: int) -> None:
    """An ephemeral subscriber's attempts begin anew, a durable one's go on."""

    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1, 2)
        await peer.close(1012)

    async def second(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e", recovered=True)
        await peer.deliver(1, 2, 3, attempt=attempt)
        acks = [await peer.expect("ack") for _ in range(3)]
        assert {ack["message_id"] for ack in acks} == {"m1", "m2", "m3"}
        assert {ack["attempt"] for ack in acks} == {attempt}
        assert await peer.left() == 1000

    subscription = None if attempt == 1 else "s"
    async with streaming([first, second], "t", subscription) as stream:
        delivery = await anext(stream)
        others = [await anext(stream)]
        while others[-1].message.seq < 3:
            others.append(await anext(stream))
        # The second was either in hand already, or waited and came again; one copy in any case.
        assert [other.message.seq for other in others] == [2, 3]
        for held in (delivery, *others):
            await held.ack()


# What the server would not take ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "field", "arguments"),
    [
        ("nack", "delay_ms", {"delay_ms": -1}),
        ("nack", "delay_ms", {"delay_ms": DELAY_MAX_MS + 1}),
        ("nack", "delay_ms", {"delay_ms": 1.5}),
        ("nack", "reason", {"reason": ValueError("no text")}),
        ("nack", "reason", {"reason": "a\0b"}),
        ("reject", "reason", {"reason": 7}),
        ("extend", "ms", {"ms": 0}),
    ],
)
async def test_what_the_server_would_refuse_is_raised_by_the_call_and_settles_nothing(
    verb: str, field: str, arguments: dict[str, Any]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await peer.expect("ack")

    async with streaming([script], "t") as stream:
        delivery = await anext(stream)
        with pytest.raises(InvalidRequest) as caught:
            await getattr(delivery, verb)(**arguments)
        assert caught.value.field == field
        await delivery.ack()


async def test_an_error_text_that_is_too_long_for_a_reason_is_cut() -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1, 2, 3)
        assert (await peer.expect("reject"))["reason"] == "r" * (REASON_MAX_BYTES - 3) + "…"
        assert (await peer.expect("nack"))["reason"] == "n" * REASON_MAX_BYTES
        assert (await peer.expect("nack"))["reason"] == "ä" * (REASON_MAX_BYTES // 2 - 2) + "…"

    async with streaming([script], "t") as stream:
        await (await anext(stream)).reject("r" * 600)
        await (await anext(stream)).nack(reason="n" * REASON_MAX_BYTES)
        await (await anext(stream)).nack(reason="ä" * 300)


async def test_what_the_server_refuses_later_is_logged_with_its_message_and_handed_out_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.deliver(1)
        await peer.expect("reject")
        await peer.send("error", code="invalid_request", message="no", message_id="m1")
        await peer.deliver(1, attempt=2)
        assert (await peer.expect("ack"))["attempt"] == 2

    async with streaming([script], "t", "s") as stream:
        await (await anext(stream)).reject("unwanted")
        again = await anext(stream)
        assert again.attempt == 2
        await again.ack()
    assert "message m1 is not settled, and comes again: no (code invalid_request)" in caplog.text


# Leaving --------------------------------------------------------------------------------------------


async def clean(peer: Peer) -> None:
    """Whatever ends the stream, the server must see a close frame."""
    await peer.subscribed(seq=0, epoch="e")
    await peer.deliver(1, 2, 3)
    assert await peer.left() == 1000


async def test_leaving_with_deliveries_in_hand_closes_in_good_order() -> None:
    async with streaming([clean], "t") as stream:
        await anext(stream)


async def test_an_exception_closes_in_good_order() -> None:
    async def work() -> None:
        async with streaming([clean], "t") as stream:
            delivery = await anext(stream)
            raise ZeroDivisionError(delivery.message.seq)

    with pytest.raises(ZeroDivisionError):
        await work()


@pytest.mark.parametrize("cancel_count", [1, 2, 3])
async def test_cancelling_closes_in_good_order_however_often_it_is_done(cancel_count: int) -> None:
    async with peers(clean) as url:
        entered = asyncio.Event()

        async def work() -> None:
            async with AsyncConduit(url) as client, client.subscribe("t") as stream:
                delivery = await anext(stream)
                entered.set()
                await asyncio.Event().wait()
                del delivery

        task = asyncio.gather(work())
        await entered.wait()
        for _ in range(cancel_count):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelling_while_subscribing_closes_in_good_order() -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.expect("subscribe")
        asked.set()
        assert await peer.left() == 1000

    async with peers(script) as url, AsyncConduit(url) as client:
        task = asyncio.gather(client.subscribe("t").__aenter__())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_leaving_while_connecting_again_does_not_wait() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.send("closing", reason="shutting_down", reconnect_after_ms=60_000)
        await peer.close(1012)
        closed.set()

    closed = asyncio.Event()
    async with streaming([first], "t"):
        await closed.wait()


async def mark(peer: Peer) -> None:
    """Something that the test can wait for: what was sent before has been received."""
    await peer.send("gap", topic="t", from_seq=0, to_seq=0, reason="retention", epoch="e")
