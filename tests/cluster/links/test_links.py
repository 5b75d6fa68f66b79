"""Links of nodes in one process, over real sockets."""

import asyncio
import logging
import random

import pytest

from conduit.cluster.links.dialing import dial
from conduit.cluster.links.frames import BODY_MAX_BYTES, FRAME_MAX_BYTES
from conduit.cluster.links.handshake import NONCE_BYTES, Dialer, Identity
from conduit.cluster.links.link import Link
from conduit.cluster.links.proofs import Secrets
from conduit.errors import (
    ConduitError,
    Conflict,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from tests.cluster.links.kit import SECRET, Conversation, Live, Node, linked, meet, nodes, until

pytestmark = pytest.mark.slow


def pairs(all_nodes: list[Node]) -> list[tuple[Node, Node]]:
    return [(one, other) for one in all_nodes for other in all_nodes if one is not other]


def is_one_link_per_pair(all_nodes: list[Node]) -> bool:
    """Each pair has one, which both mean, and there are no other sockets."""
    numbers = {}
    for one, other in pairs(all_nodes):
        link = one.links.to(other.own.name)
        if link is None:
            return False
        numbers[one.own.name, other.own.name] = link.number
    return all(
        numbers[one.own.name, other.own.name] == numbers[other.own.name, one.own.name]
        for one, other in pairs(all_nodes)
    ) and all(len(each.links._links) == len(all_nodes) - 1 for each in all_nodes)


async def test_each_pair_has_one_link_in_whatever_order_they_learn_of_each_other():
    chance = random.Random()
    async with nodes("a", "b", "c", "d") as all_nodes:
        live = [each.live for each in all_nodes]
        for _ in range(30):
            # Some know some of the others, and lose sight of them.
            node = chance.choice(all_nodes)
            node.links.set_live(chance.sample(live, chance.randint(0, len(live))))
            await asyncio.sleep(0)
        meet(*all_nodes)
        await until(lambda: is_one_link_per_pair(all_nodes))
        for node in all_nodes:
            assert (
                node.links.send_hint(
                    [each.own.name for each in all_nodes if each is not node], b"x"
                )
                == 3
            )
        await until(lambda: all(len(each.recorder.hints) == 3 for each in all_nodes))
        assert is_one_link_per_pair(all_nodes)


async def test_the_older_node_dials_and_the_newer_one_lets_itself_be_dialed():
    async with nodes("a", "b") as (a, b):
        b.links.set_live([a.live, b.live])
        assert [each.state for each in b.links.views()] == ["awaited"]
        a.links.set_live([a.live, b.live])
        assert [each.state for each in a.links.views()] == ["dialing"]
        await linked(a, b)
        assert a.port.context.connection_count == b.port.context.connection_count == 0
        assert (a.recorder.events, b.recorder.events) == ([("up", "b")], [("up", "a")])


async def call(one: Node, other: Node, number: int, into: list[Link] | None = None) -> None:
    """Dial by hand, as if this side meant to."""
    handshake = Dialer(
        Secrets([SECRET]), one.own, other.own, number, bytes(NONCE_BYTES), one.links.now()
    )

    def opened(proved, wire):
        link = Link(proved, wire, one.links, is_dialer=True)
        one.links._links.add(link)
        if into is not None:
            into.append(link)
        return link

    await dial(other.live.address, handshake, opened)


async def test_both_dial_and_only_the_older_one_is_let_in():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        with pytest.raises(Conflict, match="node a has to dial"):
            await call(b, a, 99)
        assert is_one_link_per_pair([a, b])


async def test_a_newer_link_takes_the_place_of_the_one_before_on_both_sides():
    async with nodes("a", "b") as (a, b):
        b.links.set_live([a.live])
        first: list[Link] = []
        await call(a, b, 5, first)
        await until(lambda: b.links.to("a"))
        # One that was overtaken.
        for number in (4, 5):
            with pytest.raises(Conflict, match="newer link"):
                await call(a, b, number)
        assert first[0].is_up
        await call(a, b, 6)
        await until(lambda: not first[0].is_up)
        assert b.link_to(a).number == 6
        assert b.recorder.events == [("up", "a"), ("down", "a"), ("up", "a")]
        assert "newer link" in b.recorder.whys[0]


async def test_whoever_is_not_among_the_live_nodes_is_refused():
    async with nodes("a", "b") as (a, b):
        with pytest.raises(Conflict, match="not among the live nodes"):
            await call(a, b, 1)
        b.links.set_live([Live("a", str(a.own.incarnation)[:-1] + "!", "x:1")])
        with pytest.raises(Conflict, match="not among the live nodes"):
            await call(a, b, 1)
        assert not b.recorder.events


async def test_a_node_that_was_started_anew_gets_a_new_link_and_the_old_one_ends():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        old = a.link_to(b)
        again = Node("b")
        await again.start()
        try:
            live = [a.live, again.live]
            a.links.set_live(live)
            again.links.set_live(live)
            assert not old.is_up
            await linked(a, again)
            assert a.link_to(again).peer == again.own
            assert a.recorder.events == [("up", "b"), ("down", "b"), ("up", "b")]
            assert a.recorder.whys == ["node b was started anew"]
            # The old one still knows a, and gets no link with it that counts.
            await until(lambda: not b.links._links)
            assert is_one_link_per_pair([a, again])
        finally:
            await again.stop()


async def test_a_node_that_dials_an_incarnation_that_is_gone_is_told_so():
    async with nodes("a", "b") as (a, b):
        gone = Live("b", "ffffffff-0000-7000-8000-000000000000", b.live.address)
        a.links.set_live([gone])
        await until(lambda: a.links.views()[0].last_error)
        (view,) = a.links.views()
        assert str(b.own) in view.last_error
        assert gone.incarnation in view.last_error


async def test_a_link_that_breaks_is_made_again_and_again():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        for count in range(1, 6):
            await linked(a, b)
            (a, b)[count % 2].link_to((b, a)[count % 2])._wire.abort()
            await until(lambda count=count: a.links.counts.links_lost == count)
            await until(lambda count=count: b.links.counts.links_lost == count)
        await linked(a, b)
        assert a.recorder.events == [("up", "b"), ("down", "b")] * 5 + [("up", "b")]
        assert is_one_link_per_pair([a, b])


async def test_a_node_that_is_not_live_any_more_loses_its_link_and_is_not_dialed():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        a.links.set_live([a.live])
        assert a.links.to("b") is None
        await until(lambda: b.links.to("a") is None)
        assert b.recorder.whys == ["the other side has closed it: node b is not live any more"]
        assert a.links.views() == []
        await until(lambda: not (a.links._links or b.links._links))


async def test_a_secret_is_changed_while_the_nodes_run():
    async with nodes("a", "b", "c", secrets=("old",)) as all_nodes:
        meet(*all_nodes)
        await linked(*all_nodes)
        for secrets in (("new", "old"), ("new",)):
            for node in all_nodes:
                node.links._secrets = Secrets(secrets)
                for link in tuple(node.links._links):
                    link._wire.abort()
                await until(lambda: is_one_link_per_pair(all_nodes))


async def test_with_another_secret_there_is_no_link_and_both_logs_say_why(caplog, monkeypatch):
    monkeypatch.setattr("conduit.cluster.links.links.TOLD_AFTER_S", 0.0)
    async with nodes("a", secrets=("one-secret-of-nodes",)) as (a,), nodes("b") as (b,):
        meet(a, b)
        await until(lambda: b.port.context.closings.counts["link"])
        await until(lambda: a.links.views()[0].last_error)
        b.port.context.closings.report(0.0)
        told = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert any("cannot link with node b" in line and "INTERNAL_SECRET" in line for line in told)
        assert any("did not prove that they are nodes" in line for line in told)
        assert a.recorder.events + b.recorder.events == []


async def test_the_log_has_one_line_for_a_node_that_cannot_be_reached(caplog, monkeypatch):
    monkeypatch.setattr("conduit.cluster.links.links.TOLD_AFTER_S", 0.0)
    async with nodes("a") as (a,):
        a.links.set_live([Live("b", "ffff", "127.0.0.1:1")])
        await until(lambda: a.links.counts.refused >= 4)
        lines = [each for each in caplog.records if "cannot link" in each.getMessage()]
        assert len(lines) == 1
        assert "Connection refused" in lines[0].getMessage()
        assert "cannot be used from the other" in lines[0].getMessage()


# What is sent -------------------------------------------------------------------------------------


async def test_a_hint_goes_to_those_that_there_are_links_to():
    async with nodes("a", "b", "c") as (a, b, c):
        meet(a, b)
        await linked(a, b)
        assert a.links.send_hint(["b", "c", "nobody"], b"hello") == 1
        await until(lambda: b.recorder.hints)
        assert (b.recorder.hints, c.recorder.hints) == ([b"hello"], [])
        counts = a.links.counts
        assert (counts.hints_sent, counts.hints_dropped) == (1, 2)
        assert b.links.counts.hints_received == 1
        a.links.send_hint(["b"], bytes(BODY_MAX_BYTES))
        await until(lambda: len(b.recorder.hints) == 2)
        with pytest.raises(LimitReached):
            a.links.send_hint(["b"], bytes(FRAME_MAX_BYTES))


async def test_requests_are_answered_in_both_directions():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        for one, other in ((a, b), (b, a)):
            link = one.link_to(other)
            answers = await asyncio.gather(*(link.ask("k", b"%d" % n, 10.0) for n in range(50)))
            assert answers == [b"%d" % number for number in range(50)]
            other.recorder.answer = lambda _: NotFound("no", code="topic_not_found")
            with pytest.raises(NotFound) as refused:
                await link.ask("k", b"x", 10.0)
            assert refused.value.code == "topic_not_found"


async def test_a_request_without_an_answer_ends_at_its_deadline():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        b.recorder.answer = lambda _: None
        with pytest.raises(OutcomeUnknown, match="in time"):
            await a.link_to(b).ask("k", b"x", 0.1)
        assert a.links.counts.requests_late == 1
        # What comes after that is dropped, and the link goes on.
        b.recorder.unanswered[0].reply(b"late")
        b.recorder.answer = lambda asked: asked.body
        assert await a.link_to(b).ask("k", b"y", 10.0) == b"y"


async def test_who_gives_up_waiting_hears_nothing_more():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        b.recorder.answer = lambda _: None
        asking = asyncio.get_running_loop().create_task(a.link_to(b).ask("k", b"x", 10.0))
        await until(lambda: b.recorder.unanswered)
        asking.cancel()
        b.recorder.unanswered[0].reply(b"x")
        await until(lambda: not a.link_to(b).request_count)


@pytest.mark.parametrize("breaks", ["a", "b"])
async def test_when_a_link_goes_all_that_waits_on_it_is_told(breaks):
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        b.recorder.answer = lambda _: None
        outcomes: list[bytes | ConduitError] = []
        link = a.link_to(b)
        for _ in range(100):
            link.request("k", b"x", 60.0, outcomes.append)
        ours = []
        for _ in range(2_000):
            ours.append(Conversation())
            ours[-1].channel = link.open("k", b"x", ours[-1])
        await until(
            lambda: len(b.recorder.conversations) == 2_000 and len(b.recorder.unanswered) == 100
        )
        one, other = (a, b) if breaks == "a" else (b, a)
        one.link_to(other)._wire.abort()
        await until(lambda: len(outcomes) == 100 and all(each.ends for each in ours))
        await until(lambda: all(each.ends for each in b.recorder.conversations))
        assert all(isinstance(each, OutcomeUnknown) for each in outcomes)
        for each in (*ours, *b.recorder.conversations):
            assert [code for code, _ in each.ends] == ["unavailable"]
            assert "is gone" in each.ends[0][1]
        assert not link.is_up
        for use in (
            lambda: link.request("k", b"", 1.0, print),
            lambda: link.open("k", b"", ours[0]),
        ):
            with pytest.raises(Unavailable):
                use()
        assert not link.send_hint(b"x")


async def test_ten_thousand_channels_talk_at_the_cost_of_those_that_do():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        link = a.link_to(b)
        ours = []
        for _ in range(10_000):
            ours.append(Conversation())
            ours[-1].channel = link.open("k", b"x", ours[-1])
        await until(lambda: len(b.recorder.conversations) == 10_000)
        theirs = b.recorder.conversations
        before = b.links.counts.frames_received
        for each in ours[::100]:
            assert each.channel.send(b"to you")
        await until(lambda: all(each.bodies for each in theirs[::100]))
        # A ping may have come as well.
        assert b.links.counts.frames_received - before <= 100 + 10
        for each in theirs[::100]:
            assert each.channel.send(b"to me")
        await until(lambda: all(each.bodies for each in ours[::100]))
        for each in ours[1:]:
            each.channel.close("x", "x")
        await until(lambda: b.link_to(a).channel_count == 1)
        assert ours[0].channel.send(b"still here")
        await until(lambda: len(theirs[0].bodies) == 2)


async def test_a_view_tells_how_a_link_is():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        await until(lambda: a.links.views()[0].round_trip_s is not None)
        await until(lambda: b.links.views()[0].round_trip_s is not None)
        (view,) = a.links.views()
        assert (view.name, view.incarnation, view.address) == (
            b.own.name,
            b.own.incarnation,
            b.live.address,
        )
        assert (view.state, view.last_error) == ("up", None)
        assert 0 < view.round_trip_s < 5
        assert view.for_s >= 0
        assert a.links.counts.round_trip.count >= 1


async def test_stopping_says_so_to_the_others_and_nothing_is_left():
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        await b.links.stop()
        assert not b.links._links
        await until(lambda: a.links.to("b") is None)
        assert "node b stops" in a.recorder.whys[0]
        # It is dialed again, and says that it is over.
        await until(lambda: a.links.counts.refused)
        assert "stopping" in a.links.views()[0].last_error
        b.links.set_live([a.live])
        assert b.links.views() == []


async def test_a_node_has_no_link_with_its_own_name():
    async with nodes("a") as (a,):
        other = Identity("a", "ffff")
        a.links.set_live([a.live, Live(other.name, other.incarnation, a.live.address)])
        assert a.links.views() == []


async def test_no_secret_is_in_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
    assert SECRET not in caplog.text
