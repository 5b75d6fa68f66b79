"""What is held, given away and goes on here; how it is found elsewhere is in tests/cluster."""

from __future__ import annotations

from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Ack
from tests.broker.kit import running_broker


def nobodys(_tenant: str, _name: str) -> bool:
    return False


def own(_tenant: str, _name: str) -> bool:
    return True


async def test_what_is_held_hands_out_nothing_and_takes_acks_until_it_goes_on():
    async with running_broker() as bench:
        giving_away = bench.broker.giving_away
        connection, peer = await bench.subscribe("t", subscription="s", max_in_flight=1)
        others, other = await bench.subscribe("t", subscription="s")
        _, plain = await bench.subscribe("t")
        await bench.publish_many("t", 3)
        before = sorted(peer.seqs + other.seqs)
        giving_away.hold(nobodys)
        connection.verbs.ack(Ack(topic="t", seq=peer.seqs[0], subscription="s", ref="r"))
        connection.close()
        # There is room for what was given back, or for another.
        others.verbs.ack(Ack(topic="t", seq=other.seqs[0], subscription="s"))
        await bench.publish("t")
        await bench.flush()
        assert peer.of("acked")
        assert sorted(peer.seqs + other.seqs) == before
        # Who follows the topic without a name has nothing to do with it.
        assert plain.seqs == [1, 2, 3, 4]
        giving_away.go_on(nobodys)
        await bench.rest()
        assert sorted(peer.seqs + other.seqs) == before
        giving_away.go_on(own)
        await bench.rest()
        assert len(peer.seqs + other.seqs) > len(before)


async def test_no_attempt_fails_while_it_is_held():
    async with running_broker() as bench:
        _, peer = await bench.subscribe("t", subscription="s", ack_wait_ms=1_000)
        await bench.publish("t")
        bench.broker.giving_away.hold(nobodys)
        await bench.advance(60.0)
        bench.broker.giving_away.go_on(own)
        await bench.rest()
        assert (peer.seqs, [frame.get("failures", 0) for frame in peer.of("message")]) == ([1], [0])


async def test_first_those_go_of_which_all_is_stored():
    async with running_broker() as bench:
        giving_away = bench.broker.giving_away
        connection, peer = await bench.subscribe("t", subscription="s")
        _, idle = await bench.subscribe("u", subscription="idle")
        await bench.publish("t")
        await bench.flush()
        connection.verbs.ack(Ack(topic="t", seq=1, subscription="s"))
        assert await giving_away.give_away(nobodys, only_stored=True) == 1
        assert (peer.closed, idle.closed and idle.closed[0]) == (None, CLOSE_MOVED)
        assert giving_away.is_due(nobodys)
        await giving_away.stored()
        assert await giving_away.give_away(own) == 0
        assert await giving_away.give_away(nobodys, only_stored=True) == 1
        assert peer.closed[0] == CLOSE_MOVED
        assert not giving_away.is_due(nobodys)
