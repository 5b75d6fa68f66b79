"""Clients of a node whose durable subscriptions run on another one, over real links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from conduit.broker.attach import away
from conduit.broker.attach.connection import TOPIC_DELETED
from conduit.broker.attach.passed import ID_BYTES
from conduit.errors import ConduitError, Conflict, InvalidRequest, Unavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_TOPIC_DELETED
from conduit.protocol.frames import Ack, Extend, Nack, Reject, Unsubscribe
from tests.broker.stores import SharedStore
from tests.cluster.company import Client, Company, Member, a_company
from tests.cluster.links.kit import until


def share_of(client: Client, name: str) -> away.Away:
    return client.connection._aways.by_place["t", name]


class Nodes(NamedTuple):
    here: Member
    owner: Member
    company: Company
    name: str
    """A subscription that the owner has."""

    async def subscribed(self, **fields: object) -> Client:
        return await self.here.client().subscribe(self.name, **fields)

    async def publish(self, count: int, topic: str = "t") -> None:
        await self.owner.bench.publish_many(topic, count)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    async with a_company("a", "b", store=SharedStore()) as company:
        for member in company.members.values():
            await member.bench.broker.topics.ensure(T, "t")
        yield Nodes(company["a"], company["b"], company, company.name_for("b"))


# Subscribing --------------------------------------------------------------------------------------


async def test_a_subscription_runs_where_the_ring_has_it(nodes: Nodes):
    client = await nodes.subscribed(ref="r")
    assert [frame["ref"] for frame in client.peer.of("subscribed")] == ["r"]
    await nodes.publish(20)
    await until(lambda: client.seqs == list(range(1, 21)))
    assert (nodes.here.settled(nodes.name), nodes.owner.settled(nodes.name)) == (-1, 0)
    assert client.connection.places == (("t", nodes.name),)


async def test_what_is_published_at_the_clients_node_comes_too(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.here.bench.publish_many("t", 3)
    await until(lambda: client.seqs == [1, 2, 3])


async def test_one_that_this_node_owns_runs_here_and_no_channel_is_opened(nodes: Nodes):
    name = nodes.company.name_for("a")
    client = await nodes.here.client().subscribe(name)
    await nodes.here.bench.publish_many("t", 2)
    assert (client.seqs, len(nodes.owner.exchange.guests)) == ([1, 2], 0)
    assert client.verbs is client.connection._verbs


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"create": False}, "subscription_not_found"),
        ({"max_in_flight": 0}, "invalid_request"),
        ({"topic": ".."}, "invalid_topic"),
    ],
)
async def test_what_is_refused_is_refused_as_here(nodes: Nodes, fields, code):
    with pytest.raises(ConduitError) as caught:
        await nodes.subscribed(**fields)
    assert caught.value.code == code
    assert not nodes.owner.exchange.guests


async def test_other_settings_than_it_has_are_a_conflict(nodes: Nodes):
    await nodes.subscribed(max_in_flight=5)
    with pytest.raises(Conflict) as caught:
        await nodes.subscribed(max_in_flight=6)
    assert (caught.value.code, caught.value.field) == ("subscription_conflict", "max_in_flight")


async def test_an_owner_of_another_version_that_knows_less_refuses(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise InvalidRequest("no such field", code="unknown_field")

    monkeypatch.setattr(nodes.owner.exchange.guests, "accept", refuse)
    with pytest.raises(Unavailable, match="no such field"):
        await nodes.subscribed()
    assert nodes.here.settled(nodes.name) == -1


async def test_without_a_way_to_the_owner_it_cannot_be_had(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(away, "ATTACH_TIMEOUT_S", 0.1)
    nodes.here.elsewhere._link_to = lambda _name: None
    client = nodes.here.client()
    with pytest.raises(Unavailable, match="node b, which has the subscription, cannot be reached"):
        await client.subscribe(nodes.name)
    assert client.connection.places == ()
    assert client.verbs is client.connection._verbs


async def test_a_connection_has_it_once(nodes: Nodes):
    client = await nodes.subscribed()
    with pytest.raises(Conflict) as caught:
        await client.subscribe(nodes.name)
    assert caught.value.code == "already_subscribed"


async def test_a_group_shares_its_messages_over_nodes(nodes: Nodes):
    here = await nodes.subscribed(max_in_flight=5)
    there = await nodes.owner.client().subscribe(nodes.name)
    await nodes.publish(10)
    await until(lambda: sorted(here.seqs + there.seqs) == list(range(1, 11)))
    assert len(here.seqs) == len(there.seqs) == 5


# Verbs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_named", [True, False])
async def test_an_ack_is_answered_once_it_is_stored(nodes: Nodes, is_named):
    client = await nodes.subscribed()
    await nodes.publish(2)
    await until(lambda: len(client.seqs) == 2)
    named = nodes.name if is_named else None
    client.verbs.ack(Ack(message_id=client.ids[0], subscription=named, ref="1"))
    await until(lambda: client.peer.of("acked"))
    assert client.peer.of("acked") == [
        {"type": "acked", "ref": "1", "message_id": client.ids[0]},
    ]
    assert nodes.owner.settled(nodes.name) == 1


async def test_an_ack_of_what_was_never_given_is_refused_as_here(nodes: Nodes):
    client = await nodes.subscribed()
    client.verbs.ack(Ack(message_id="none", ref="1"))
    client.verbs.ack(Ack(message_id="none", subscription=nodes.name, ref="2"))
    await until(lambda: len(client.peer.of("error")) == 2)
    found = {frame["ref"]: frame["code"] for frame in client.peer.of("error")}
    assert found == {"1": "unknown_delivery", "2": "unknown_delivery"}


async def test_ids_of_several_subscriptions_are_divided_and_answered_once(nodes: Nodes):
    client = await nodes.subscribed()
    await client.subscribe(nodes.company.name_for("a"), topic="u")
    await client.subscribe(nodes.company.name_for("b", "w"), topic="w")
    await client.subscribe(None, topic="v")
    for topic in "tuvw":
        await nodes.here.bench.publish_many(topic, 1)
    await until(lambda: len(client.seqs) == 4)
    client.verbs.ack(Ack(message_ids=client.ids, ref="1"))
    await until(lambda: client.peer.of("acked"))
    assert client.peer.of("acked") == [{"type": "acked", "ref": "1"}]
    client.verbs.ack(Ack(message_ids=client.ids, ref="2"))
    await until(lambda: client.peer.of("error"))
    assert [frame["ref"] for frame in client.peer.of("error")] == ["2"]
    assert len(client.peer.of("acked")) == 1


async def test_a_topic_and_a_number_go_to_the_share_that_follows_the_topic(nodes: Nodes):
    client = await nodes.subscribed()
    await client.subscribe(None, topic="u")
    await nodes.publish(3)
    await until(lambda: len(client.seqs) == 3)
    client.verbs.ack(Ack(topic="t", seq=2, ref="1"))
    await until(lambda: client.peer.of("acked"))
    assert nodes.owner.settled(nodes.name) == 2


async def test_nack_reject_and_extend_find_their_way(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.publish(3)
    await until(lambda: len(client.seqs) == 3)
    client.verbs.nack(Nack(client.ids[0], delay_ms=0, ref="1"))
    client.verbs.reject(Reject(client.ids[1], ref="2"))
    client.verbs.extend(Extend(client.ids[2], ms=60_000, subscription=nodes.name, ref="3"))
    await until(lambda: len(client.peer.of("acked")) == 3 and len(client.seqs) == 4)
    assert client.peer.attempts[-1] == (1, 2)


async def test_acks_before_the_end_of_the_connection_count(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.publish(50)
    await until(lambda: len(client.seqs) == 50)
    for message_id in client.ids:
        client.verbs.ack(Ack(message_id=message_id))
    client.connection.close()
    await until(lambda: not nodes.owner.exchange.guests)
    again = await nodes.subscribed()
    await nodes.publish(1)
    await until(lambda: again.seqs == [51])


async def test_what_is_asked_before_unsubscribing_is_answered_after_it(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.publish(2)
    await until(lambda: len(client.seqs) == 2)
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    client.connection.unsubscribe(Unsubscribe("t", nodes.name, ref="2"))
    assert client.peer.frames[-1]["type"] == "unsubscribed"
    await until(lambda: client.peer.of("acked"))
    await nodes.publish(1)
    await until(lambda: not nodes.owner.exchange.guests)
    assert client.seqs == [1, 2]
    await client.subscribe(nodes.name)
    await until(lambda: client.seqs[2:] == [2, 3])


# Ends ---------------------------------------------------------------------------------------------


async def test_a_deleted_subscription_is_told(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.owner.bench.broker.subscriptions.delete(T, nodes.name)
    await until(lambda: client.peer.of("unsubscribed"))
    assert (client.connection.places, client.peer.closed) == ((), None)


async def test_a_deleted_topic_closes_the_connection(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.owner.bench.broker.topics.delete(T, "t")
    await until(lambda: client.peer.closed)
    assert client.peer.closed == (CLOSE_TOPIC_DELETED, TOPIC_DELETED)


@pytest.mark.parametrize("is_lost", [True, False])
async def test_the_owner_is_told_whether_the_client_was_lost(nodes: Nodes, is_lost):
    client = await nodes.subscribed(max_lost=1)
    await nodes.publish(1)
    await until(lambda: client.seqs)
    client.connection.close(lost=is_lost)
    await until(lambda: not nodes.owner.exchange.guests)
    again = await nodes.subscribed()
    await nodes.publish(1)
    await until(lambda: 2 in again.seqs)
    assert (1 in again.seqs) is not is_lost


# Losing the owner ---------------------------------------------------------------------------------


async def test_a_link_that_breaks_costs_the_client_nothing(nodes: Nodes):
    client = await nodes.subscribed(max_lost=1, max_attempts=1)
    await nodes.publish(3)
    await until(lambda: len(client.seqs) == 3)
    nodes.company.cut("a", "b")
    await nodes.publish(1)
    await until(lambda: client.seqs[3:] == [1, 2, 3, 4])
    assert set(client.failures) == {0}
    kinds = {frame["type"] for frame in client.peer.frames}
    assert (kinds, len(client.peer.of("subscribed"))) == ({"subscribed", "message"}, 1)
    client.verbs.ack(Ack(message_ids=client.ids[3:], ref="1"))
    await until(lambda: client.peer.of("acked"))


async def test_a_verb_while_the_owner_is_lost_is_refused_and_its_message_comes_again(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.publish(2)
    await until(lambda: len(client.seqs) == 2)
    nodes.company.cut("a", "b")
    await until(lambda: client.connection._aways.by_place["t", nodes.name].state.name == "LOST")
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    assert [frame["code"] for frame in client.peer.of("error")] == ["unavailable"]
    await until(lambda: client.seqs == [1, 2, 1, 2])
    client.verbs.ack(Ack(message_id=client.ids[0], ref="2"))
    await until(lambda: client.peer.of("acked"))


async def test_a_question_that_has_no_answer_any_more_is_answered(nodes: Nodes):
    client = await nodes.subscribed()
    await nodes.publish(1)
    await until(lambda: client.seqs)
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    nodes.company.cut("a", "b")
    await until(lambda: client.peer.of("error"))
    assert client.peer.of("error")[0]["code"] == "unavailable"


async def test_a_subscription_comes_to_its_client_when_the_owner_goes(nodes: Nodes):
    client = await nodes.subscribed(max_lost=1, max_attempts=1)
    await nodes.publish(3)
    await until(lambda: len(client.seqs) == 3)
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    await until(lambda: client.peer.of("acked"))
    nodes.company.meet("a")
    await until(lambda: client.seqs[3:] == [2, 3])
    assert set(client.failures) == {0}
    assert client.verbs is client.connection._verbs
    client.verbs.ack(Ack(message_ids=client.ids[3:], ref="2"))
    await until(lambda: len(client.peer.of("acked")) == 2)
    assert nodes.here.settled(nodes.name) == 3
    assert (client.peer.closed, len(client.peer.of("subscribed"))) == (None, 1)


async def test_a_subscription_goes_away_from_its_client_when_another_owner_comes(nodes: Nodes):
    nodes.company.meet("a")
    client = await nodes.subscribed(prefetch=2)
    await nodes.here.bench.publish_many("t", 3)
    await until(lambda: client.seqs == [1, 2])
    nodes.company.meet("a", "b")
    await until(lambda: client.seqs == [1, 2, 1, 2])
    assert (client.peer.closed, len(client.peer.of("subscribed"))) == (None, 1)
    assert nodes.owner.settled(nodes.name) == 0
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    await until(lambda: client.peer.of("acked") and client.seqs[4:] == [3])


async def test_an_ack_that_is_not_stored_when_it_moves_is_not_confirmed(nodes: Nodes):
    client = await nodes.here.client().subscribe(name := nodes.company.name_for("a"))
    await nodes.here.bench.publish_many("t", 1)
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    owned = nodes.here.bench.broker._owned
    owned.move_away(owned.get(T, name), "another node has claimed it")
    await until(lambda: client.peer.of("error"))
    assert client.peer.of("error")[0]["code"] == "unavailable"
    await until(lambda: client.seqs == [1, 1])
    assert (client.peer.of("acked"), nodes.here.settled(name)) == ([], 0)


async def test_what_was_settled_is_stored_before_it_is_handed_over(nodes: Nodes):
    client = await nodes.here.client().subscribe(name := nodes.company.name_for("a"))
    await nodes.here.bench.publish_many("t", 2)
    client.verbs.ack(Ack(message_id=client.ids[0], ref="1"))
    nodes.company.meet("b")
    await until(lambda: client.seqs == [1, 2, 2])
    assert (len(client.peer.of("acked")), nodes.owner.settled(name)) == (1, 1)


async def test_what_was_deleted_while_it_was_lost_is_told(nodes: Nodes):
    client = await nodes.subscribed()
    owner = nodes.owner.exchange
    owner.elsewhere.set_nodes([])
    nodes.here.elsewhere._link_to = lambda _name: None
    nodes.company.cut("a", "b")
    await until(lambda: client.connection._aways.by_place["t", nodes.name].state.name == "LOST")
    await nodes.owner.bench.broker.subscriptions.delete(T, nodes.name)
    nodes.here.elsewhere._link_to = nodes.here.exchange.links.to
    await until(lambda: client.peer.of("unsubscribed"))
    assert client.connection.places == ()


async def test_who_leaves_while_it_is_lost_leaves_nothing(nodes: Nodes):
    client = await nodes.subscribed()
    nodes.here.elsewhere._link_to = lambda _name: None
    nodes.company.cut("a", "b")
    await until(lambda: client.connection._aways.by_place["t", nodes.name].state.name == "LOST")
    client.connection.close()
    nodes.here.elsewhere._link_to = nodes.here.exchange.links.to
    await nodes.company.linked()
    assert not nodes.owner.exchange.guests


# Flow ---------------------------------------------------------------------------------------------


async def test_who_does_not_read_holds_up_nobody_and_gets_all_in_the_end(nodes: Nodes):
    slow = await nodes.subscribed(max_in_flight=1_000)
    fast = await nodes.here.client().subscribe(nodes.company.name_for("b", "f"), ack="auto")
    slow.reads(False)
    for _ in range(100):
        await nodes.owner.bench.publish("t", "x" * 10_000)
    await until(lambda: len(fast.seqs) == 100)
    assert slow.seqs == []
    assert 0 < slow.connection.gap_bytes <= 262_144 + 131_072
    assert slow.peer.growing_count > 0
    slow.reads(True)
    await until(lambda: slow.seqs == list(range(1, 101)))
    assert slow.connection.gap_bytes == len(share_of(slow, nodes.name).inflow.passed) * ID_BYTES
