"""One link, whose other side does what no node does."""

import asyncio
import logging
import random
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from conduit.cluster.links import link as links_module
from conduit.cluster.links.channels import WINDOW_BYTES
from conduit.cluster.links.frames import (
    FRAME_MAX_BYTES,
    MESSAGE_MAX_BYTES,
    ChannelFrame,
    ChannelOpen,
    Credit,
    Hint,
    Ping,
    Pong,
    Reply,
    Request,
    decode,
    encode,
    message,
)
from conduit.cluster.links.liveness import PING_TIMEOUT_S
from conduit.cluster.links.outgoing import CHANNELS_HIGH_BYTES, HINTS_MAX_BYTES, QUEUE_MAX_BYTES
from tests.cluster.links.kit import Conversation, Node, linked, meet, nodes, until
from tests.cluster.links.stranger import NEW, OLD, acceptor, peer
from tests.server.port import publish
from tests.support.wait import DEADLINE_S

pytestmark = pytest.mark.slow

BROKEN = [
    b"",
    b"garbage",
    message([b"\x92\x0b\x01"]),
    message([encode(Pong(99))]),
    message([encode(Reply(1, b"x"))]),
    message([encode(ChannelFrame(1, b"x"))]),
    message([encode(Credit(2, 5))]),
    message([encode(Request(1, "k", b""))] * 2),
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 100_000,
    "text",
    "{}",
]


async def assert_serves(node: Node) -> None:
    """It is well, and has no link any more."""
    client = await node.port.connect()
    await client.send(publish(1))
    assert (await client.answer()).status == 200
    assert not node.links._links


def of_wrong_side(number: int) -> bytes:
    """A channel whose id belongs to the other side."""
    return message([encode(ChannelOpen(number, "k", b""))])


@pytest.mark.parametrize("data", [*BROKEN, of_wrong_side(1)], ids=lambda each: repr(each)[:30])
async def test_what_breaks_the_protocol_ends_the_link_and_nothing_else(data, caplog):
    async with nodes("a") as (a,):
        a.recorder.answer = lambda _: None
        async with peer(a) as other:
            await other.send(data)
            code, _ = await other.closed()
            assert code in (1002, 1003)
            await until(lambda: not a.links._links)
        assert a.recorder.events == [("up", "old"), ("down", "old")]
        lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert len(lines) == 1
        assert "no link to node old" in lines[0]
        assert len(lines[0]) < 700
        await assert_serves(a)


@pytest.mark.parametrize("data", [*BROKEN, of_wrong_side(2)], ids=lambda each: repr(each)[:30])
async def test_the_same_from_the_side_that_was_dialed(data, caplog):
    codes = []

    async def behave(connection):
        await connection.send(data)
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with nodes("a") as (a,), acceptor(NEW, behave) as live:
        a.recorder.answer = lambda _: None
        a.links.set_live([live])
        await until(lambda: a.recorder.whys)
        a.links.set_live([])
        await until(lambda: codes)
        assert codes[0] in (1002, 1003)
        assert [each.levelno for each in caplog.records].count(logging.WARNING) <= 2
        await until(lambda: not a.links._links)
        await assert_serves(a)


async def test_a_frame_that_is_too_large_is_refused_by_its_length():
    async with nodes("a") as (a,):
        async with peer(a) as other:
            await other.send(bytes(MESSAGE_MAX_BYTES + 1))
            assert (await other.closed())[0] == 1009
        await until(lambda: a.recorder.whys)
        await assert_serves(a)

    async def behave(connection):
        # There is a link now.
        await connection.recv()
        await connection.send(bytes(MESSAGE_MAX_BYTES + 1))
        await connection.wait_closed()

    async with nodes("a") as (a,), acceptor(NEW, behave) as live:
        a.links.set_live([live])
        await until(lambda: a.recorder.whys)
        assert "exceeding max allowed size" in a.recorder.whys[0]


async def test_one_that_is_as_large_as_it_may_be_passes_in_both_directions():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        body = random.randbytes(FRAME_MAX_BYTES - 10)
        for one, other in ((a, b), (b, a)):
            for _ in range(3):
                assert one.links.send_hint([other.own.name], body)
            await until(lambda other=other: len(other.recorder.hints) == 3)
            assert other.recorder.hints == [body] * 3


async def test_random_bytes_end_a_link_and_never_the_node(caplog):
    """Those that begin like frames, too: a node that is broken, not an attacker."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    frames = Ping(1), Hint(b"x" * 50), Request(1, "k", b"b"), ChannelOpen(2, "k", b"x")
    good = [encode(each) for each in frames]
    async with nodes("a") as (a,):
        for number in range(60):
            raw = bytearray(message(chance.choices(good, k=chance.randint(1, 5))))
            for _ in range(chance.randint(1, 6)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            if number % 3 == 0:
                raw = bytearray(chance.randbytes(chance.randint(1, 2_000)))
            async with peer(a) as other:
                await other.send(bytes(raw))
                # If it was right all the same, this is not.
                await other.send(b"end")
                assert (await other.closed())[0] == 1002, seed
            await until(lambda: not a.links._links)
        assert [each for each in caplog.records if each.levelno >= logging.ERROR] == [], seed
        await assert_serves(a)


async def test_frames_of_a_newer_node_are_skipped():
    async with nodes("a") as (a,), peer(a) as other:
        await other.send(message([b"\x93\x40\x01\xa1x", encode(Hint(b"known"))]))
        await until(lambda: a.recorder.hints)
        assert a.recorder.hints == [b"known"]
        assert a.links.to("old").is_up


async def test_what_is_sent_in_one_turn_is_one_message():
    async with nodes("a") as (a,), peer(a) as other:
        for number in range(100):
            a.links.send_hint(["old"], b"%d" % number)
        heard = []
        while not any(isinstance(each, Hint) for each in heard):
            heard = await other.hear()
        hints = [each.body for each in heard if isinstance(each, Hint)]
        assert hints == [b"%d" % number for number in range(100)]


async def test_a_bug_in_the_service_costs_a_hint_and_not_the_link(caplog):
    async with nodes("a") as (a,), peer(a) as other:
        a.recorder.on_hint = None
        await other.say(Hint(b"x"), Ping(1))
        heard = []
        while Pong(1) not in heard:
            heard += await other.hear()
        assert a.links.to("old").is_up
        assert [each.levelno for each in caplog.records].count(logging.ERROR) == 1


# Who does not read, or does not answer -------------------------------------------------------------


async def stuck(node: Node, name: str = "old") -> int:
    """Fill the socket until it takes no more, and the line a little; returns how many hints that took."""
    link = node.links.to(name)
    count = 0
    while link._wire.is_writable or len(link._outgoing) < 10:
        assert link.send_hint(encode(Hint(bytes(100_000))))
        count += 1
        await asyncio.sleep(0)
    return count


async def test_for_who_does_not_read_hints_are_dropped_and_memory_is_bounded():
    async with nodes("a") as (a,), peer(a, max_queue=1) as _:
        await stuck(a)
        link = a.links.to("old")
        results = [a.links.send_hint(["old"], bytes(100_000)) for _ in range(1_000)]
        assert results[-1] == 0
        assert a.links.counts.hints_dropped == results.count(0) > 900
        assert link.queue_bytes <= HINTS_MAX_BYTES + MESSAGE_MAX_BYTES
        assert link.is_up


async def test_for_who_does_not_read_channels_hold_back():
    async with nodes("a") as (a,), peer(a, max_queue=1) as other, asyncio.timeout(DEADLINE_S):
        await stuck(a)
        link = a.links.to("old")
        ours = []
        while not link.is_congested:
            ours.append(Conversation())
            ours[-1].channel = link.open("k", b"x", ours[-1])
            ours[-1].channel.send(bytes(WINDOW_BYTES))
        for each in ours:
            assert not each.channel.send(b"x")
        assert link.queue_bytes <= CHANNELS_HIGH_BYTES + 2 * WINDOW_BYTES + MESSAGE_MAX_BYTES
        # When it reads, those go on that have credit.
        late = Conversation()
        late.channel = link.open("k", b"x", late)
        assert not late.channel.may_send()
        while not late.credits:
            pings = [each.number for each in await other.hear() if isinstance(each, Ping)]
            await other.say(*(Pong(each) for each in pings))
        assert late.channel.send(b"x")
        assert [each.credits for each in ours] == [0] * len(ours)


async def test_who_does_not_take_what_may_not_be_dropped_loses_the_link():
    async with nodes("a") as (a,), peer(a, max_queue=1) as _, asyncio.timeout(DEADLINE_S):
        await stuck(a)
        link = a.links.to("old")
        largest = 0
        user = Conversation()
        while link.is_up:
            link.open("k", bytes(100_000), user)
            largest = max(largest, link.queue_bytes)
            await asyncio.sleep(0)
        assert largest <= QUEUE_MAX_BYTES + 2 * MESSAGE_MAX_BYTES
        assert "does not take what it is sent" in a.recorder.whys[0]
        # And the socket as well, although nobody reads what it is told.
        await until(lambda: not a.links._links)


async def test_who_does_not_answer_a_ping_is_gone_after_three_seconds():
    loop = asyncio.get_running_loop()
    async with nodes("a") as (a,), peer(a) as other, asyncio.timeout(DEADLINE_S):
        began = loop.time()
        while a.links.to("old") is not None:
            # It is not silent: it only does not read.
            await other.say(Hint(b"x"))
            await asyncio.sleep(0.05)
        took_s = loop.time() - began
        assert PING_TIMEOUT_S - 0.5 < took_s < PING_TIMEOUT_S + 10
        assert "has not answered" in a.recorder.whys[0]
        await until(lambda: not a.links._links)


async def test_whoever_answers_pings_keeps_the_link_although_it_is_slow(monkeypatch):
    monkeypatch.setattr("conduit.cluster.links.liveness.PING_INTERVAL_S", 0.05)
    monkeypatch.setattr("conduit.cluster.links.liveness.PING_TIMEOUT_S", 1.0)
    monkeypatch.setattr("conduit.cluster.links.links.SWEEP_INTERVAL_S", 0.05)
    async with nodes("a") as (a,), peer(a) as other:
        numbers = []
        while len(numbers) < 40:
            for each in await other.hear():
                if isinstance(each, Ping):
                    numbers.append(each.number)
                    await other.say(Pong(each.number))
        assert numbers == [*range(1, 41)]
        assert a.links.to("old").is_up


async def test_time_in_which_this_process_stood_still_is_not_counted_against_the_other_side():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        a.recorder.answer = b.recorder.answer = lambda _: None
        outcomes = []
        a.link_to(b).request("k", b"x", 5.0, outcomes.append)
        for _ in range(3):
            a.skipped_s += 60.0
            pinged = a.links.counts.round_trip.count
            await until(lambda pinged=pinged: a.links.counts.round_trip.count > pinged)
        assert a.recorder.whys == b.recorder.whys == outcomes == []


async def test_of_many_pings_that_wait_the_last_one_is_answered():
    async with nodes("a") as (a,), peer(a, max_queue=1) as other:
        await stuck(a)
        link = a.links.to("old")
        before = len(link._outgoing)
        for number in range(1, 200):
            await other.say(Ping(number))
        await until(lambda: link._pong_due == 199)
        assert len(link._outgoing) <= before + 5
        heard = []
        while Pong(199) not in heard:
            heard = await other.hear()


async def test_of_what_has_come_a_turn_of_the_loop_handles_as_much_as_it_has_time_for(monkeypatch):
    monkeypatch.setattr(links_module, "TURN_MAX_S", 0.0)
    turn_count, turns = 0, []
    loop = asyncio.get_running_loop()

    def next_turn():
        nonlocal turn_count
        turn_count += 1
        loop.call_soon(next_turn)

    async def behave(connection):
        await connection.recv()
        for _ in range(60):
            await connection.send(message([encode(Hint(bytes(60_000)))]))
        await connection.wait_closed()

    async with nodes("a") as (a,), acceptor(NEW, behave) as live:
        a.recorder.on_hint = lambda *_: turns.append(turn_count)
        next_turn()
        a.links.set_live([live])
        await until(lambda: len(turns) == 60)
        assert max(Counter(turns).values()) <= 4


async def hears_all(receive, say, count: int) -> None:
    """Read so many hints, and answer pings."""
    while count:
        for each in decode(await receive()):
            count -= isinstance(each, Hint)
            if isinstance(each, Ping):
                await say(message([encode(Pong(each.number))]))


@pytest.mark.parametrize("is_dialer", [False, True])
async def test_what_waits_is_written_as_soon_as_the_socket_takes_more(monkeypatch, is_dialer):
    """And not with the next ping."""
    monkeypatch.setattr("conduit.cluster.links.liveness.PING_INTERVAL_S", 1_000.0)
    counts: asyncio.Queue[int] = asyncio.Queue()
    heard = asyncio.Event()

    async def behave(connection):
        await hears_all(connection.recv, connection.send, await counts.get())
        heard.set()
        await connection.wait_closed()

    async with nodes("a") as (a,), AsyncExitStack() as stack:
        if is_dialer:
            a.links.set_live([await stack.enter_async_context(acceptor(NEW, behave))])
            await until(lambda: a.links.to("new"))
            await until(lambda: not a.links.to("new")._outgoing)
            count = await stuck(a, "new")
            counts.put_nowait(count)
            async with asyncio.timeout(2.5):
                await heard.wait()
        else:
            other = await stack.enter_async_context(peer(a, max_queue=1))
            count = await stuck(a)
            async with asyncio.timeout(2.5):
                await hears_all(other.receive, other.send, count)


async def test_the_other_side_is_told_why():
    async with nodes("a") as (a,), peer(a) as other:
        a.links.to("old").close(1000, "because")
        assert await other.closed() == (1000, "because")
        await until(lambda: not a.links._links)


async def test_who_does_not_hear_that_it_is_closed_is_dropped():
    async with nodes("a") as (a,), peer(a, max_queue=1) as _:
        await stuck(a)
        a.links.to("old").close(1000, "because")
        assert a.links.to("old") is None
        await until(lambda: not a.links._links, 10.0)
        assert OLD.name not in [view.name for view in a.links.views() if view.state == "up"]
