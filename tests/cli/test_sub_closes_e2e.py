"""However `conduit sub` ends, the server sees a close frame: a connection that is lost counts against
what was in flight."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit, Running
from tests.client.peer import Peer, peers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


async def script(peer: Peer) -> None:
    """Two deliveries, which may be acked, and then the client's close frame."""
    await peer.subscribed(seq=0, epoch="e")
    await peer.deliver(1, 2)
    assert await peer.left(acks=True) == 1000


async def end(running: Running) -> int:
    """Its exit code, without holding up the scripted server."""
    return await asyncio.to_thread(running.wait)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ack", ["auto", "none"])
async def test_a_signal_closes_in_good_order(number: signal.Signals, ack: str) -> None:
    async with peers(script) as url:
        with Conduit(url).start("sub", "t", "--subscription", "s", "--ack", ack) as running:
            for seq in (1, 2):
                assert (await asyncio.to_thread(running.line))["seq"] == seq
            running.signal(number)
            assert await end(running) == Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("option", "code"), [(("--count", "2"), Exit.OK), (("--timeout", "0.5s"), Exit.OK)]
)
async def test_coming_to_an_end_closes_in_good_order(option: tuple[str, str], code: Exit) -> None:
    async with peers(script) as url:
        with Conduit(url).start("sub", "t", "--ack", "none", *option) as running:
            assert await end(running) == code


async def test_time_that_is_up_before_the_server_has_answered_is_an_error() -> None:
    async def silent(peer: Peer) -> None:
        await peer.expect("subscribe")
        await peer.left()

    async with peers(silent) as url:
        with Conduit(url).start("sub", "t", "--timeout", "1s") as running:
            assert await end(running) == Exit.NO_CONNECTION
            assert "time is up" in running.error_line()


async def test_time_that_is_up_while_the_connection_closes_is_none() -> None:
    over = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        # Its close frame is not read, and so not answered.
        peer.socket.transport.pause_reading()
        await peer.deliver(1)
        await over.wait()
        peer.socket.transport.abort()

    async with peers(slow) as url:
        with Conduit(url).start("sub", "t", "--count", "1", "--timeout", "2s") as running:
            assert await end(running) == Exit.OK
        over.set()


async def test_a_subscription_that_is_deleted_ends_the_command_and_is_named() -> None:
    async def deleted(peer: Peer) -> None:
        await peer.subscribed(seq=0, epoch="e")
        await peer.send("unsubscribed", topic="t", subscription="s")
        assert await peer.left() == 1000

    async with peers(deleted) as url:
        with Conduit(url).start("sub", "t", "--subscription", "s") as running:
            assert await end(running) == Exit.NOT_FOUND
            said = [running.error_line() for _ in range(3)]
            assert "'s' was deleted (code subscription_not_found)" in said[2]


async def test_nothing_is_made_where_that_is_not_wanted() -> None:
    async def missing(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        assert frame["create"] is False
        await peer.send("error", code="topic_not_found", message="no such", ref=frame["ref"])
        assert await peer.left() == 1000

    async with peers(missing) as url:
        with Conduit(url).start("sub", "t", "--no-create") as running:
            assert await end(running) == Exit.NOT_FOUND


async def test_a_reader_who_goes_away_closes_in_good_order() -> None:
    reading, writing = os.pipe()
    async with peers(script) as url:
        with Conduit(url).start("sub", "t", "--subscription", "s", stdout=writing) as running:
            os.close(writing)
            os.close(reading)
            assert await end(running) == Exit.ERROR


async def test_an_owner_that_cannot_be_reached_is_waited_for() -> None:
    async def unavailable(peer: Peer) -> None:
        frame = await peer.expect("subscribe")
        await peer.send("error", code="unavailable", message="no way", ref=frame["ref"])
        assert await peer.left() == 1000

    async with peers(unavailable, script) as url:
        with Conduit(url).start("sub", "t", "--subscription", "s", "--count", "2") as running:
            assert await end(running) == Exit.OK
            assert "no way (code unavailable); trying again" in running.error_line()
