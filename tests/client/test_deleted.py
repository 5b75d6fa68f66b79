"""What becomes of a stream whose topic or subscription is deleted."""

from __future__ import annotations

from typing import Literal

import pytest

from conduit.client import ApiError, Stream
from tests.client.peer import Peer
from tests.client.test_stream import streaming, take


@pytest.mark.parametrize("ack", [None, "auto"])
async def test_a_subscription_that_is_deleted_ends_the_stream(ack: Literal["auto"] | None) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(subscription="billing")
        await peer.deliver(1, 2, subscription="billing")
        await peer.send("unsubscribed", topic="t", subscription="billing")
        assert await peer.left(acks=True) == 1000

    seqs: list[int] = []

    async def receive(stream: Stream) -> None:
        async for delivery in stream:
            seqs.append(delivery.message.seq)
            await delivery.ack()

    async with streaming([script], "t", "billing", ack=ack) as stream:
        with pytest.raises(ApiError, match="'billing' was deleted") as raised:
            await receive(stream)
    # With explicit acks what was not taken is forgotten with its subscription.
    assert raised.value.code == "subscription_not_found"
    assert seqs in ([[], [1], [1, 2]] if ack is None else [[1, 2]])


async def test_a_topic_that_is_made_anew_in_time_is_followed() -> None:
    async def first(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e1")
        await peer.close(4001)

    async def gone(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="topic_not_found", message="gone", ref=frame["ref"])
        assert await peer.left() == 1000

    async def anew(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e2")
        await peer.deliver(1)
        await peer.expect("ack")

    async with streaming([first, gone, anew], "t") as stream:
        assert await take(stream, 1) == [1]


async def test_that_a_subscription_is_paused_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.subscribed(subscription="billing", paused=True)
        assert await peer.left() == 1000

    async with streaming([script], "t", "billing"):
        assert "subscription billing is paused" in caplog.text
