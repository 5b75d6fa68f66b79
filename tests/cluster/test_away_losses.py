"""What a client has, and has asked, when the owner of its durable subscription is lost; and full sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from conduit.broker.attach import away
from conduit.broker.attach.away import Away
from conduit.broker.attach.holder import State
from conduit.broker.deliver.settings import DURABLE
from conduit.cluster.elsewhere import Outgoing
from conduit.cluster.subscribing import Said
from conduit.core.ring import Ring
from conduit.errors import Unavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Ack, Extend, Reject, StartAt, StartPosition, Unsubscribe
from conduit.storage.dead_letters import DeadFilter
from tests.broker.stores import SharedStore
from tests.cluster.company import Client, Company, Member, a_company
from tests.cluster.links.kit import until


@pytest.fixture
async def company() -> AsyncIterator[Company]:
    async with a_company("a", "b", "c", store=SharedStore()) as company:
        for member in company.members.values():
            await member.bench.broker.topics.ensure(T, "t")
        yield company


def name_of(company: Company, first: str, then: str) -> str:
    """Of a subscription that the first owns, and the other one of all but the first."""
    rings = Ring(company.up), Ring([name for name in company.up if name != first])
    return next(
        name
        for name in (f"s{n}" for n in range(10_000))
        if [ring.owner(f"{T}/{name}") for ring in rings] == [first, then]
    )


def share(client: Client, name: str, topic: str = "t") -> Away:
    return client.connection._aways.by_place[topic, name]


async def lost(company: Company, client: Client, name: str) -> None:
    """The way to the owner is gone, and nobody knows another one."""
    company["a"].elsewhere._link_to = lambda _name: None
    company.cut("a", "b")
    await until(lambda: share(client, name).state is State.LOST)


async def found(company: Company) -> None:
    """And there it is again."""
    company["a"].elsewhere._link_to = company["a"].exchange.links.to
    await company.linked()


async def letters(member: Member) -> list[int]:
    await member.bench.flush()
    found = await member.bench.broker.dead_letters.list(T, DeadFilter(), limit=100)
    return sorted(letter.seq for letter in found.letters)


# Verbs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["it comes here", "it is deleted"])
async def test_a_client_that_had_to_wait_with_its_acks_is_read_again(company, then, monkeypatch):
    name = name_of(company, "b", "a")
    client = await company["a"].client().subscribe(name, max_in_flight=2_000)
    await company["b"].bench.publish_many("t", 1_000)
    await until(lambda: len(client.seqs) == 1_000)
    # Too much waits for the link.
    monkeypatch.setattr(Outgoing, "say", lambda *_: False)
    for id_ in client.ids:
        client.verbs.ack(Ack(message_id=id_))
    assert client.verbs.is_busy
    before = client.peer.went_on_count
    monkeypatch.undo()
    await lost(company, client, name)
    assert not client.verbs.is_busy
    assert client.peer.went_on_count > before
    if then == "it is deleted":
        await company["b"].bench.broker.subscriptions.delete(T, name)
        await found(company)
        await until(lambda: client.peer.of("unsubscribed"))
    else:
        company.meet("a", "c")
        await until(lambda: len(client.seqs) == 2_000)
        client.verbs.ack(Ack(topic="t", seq=1_000, ref="all"))
        await until(lambda: client.peer.of("acked"))


async def test_an_ack_up_to_a_number_settles_nothing_that_the_next_owner_hands_out(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=3)
    other = await company["b"].client().subscribe(name)
    await company["b"].bench.publish_many("t", 6)
    await until(lambda: len(client.seqs) + len(other.seqs) == 6)
    await lost(company, client, name)
    client.verbs.ack(Ack(topic="t", seq=6, subscription=name, ref="up to"))
    client.verbs.ack(Ack(topic="t", seq=6, subscription=name))
    assert [frame["code"] for frame in client.peer.of("error")] == ["unavailable"]
    other.connection.close()
    await found(company)
    await until(lambda: share(client, name).state is State.AWAY)
    client.connection.close()
    last = await company["a"].client().subscribe(name)
    await until(lambda: len(last.seqs) == 3)
    last.verbs.ack(Ack(message_ids=last.ids))
    await until(lambda: sorted(last.seqs) == [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("beside", ["here, settled by being written", "here", "away"])
async def test_an_ack_up_to_a_number_that_names_nothing_settles_for_one_after_the_other(
    company, beside
):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name)
    owner, at = company["b"], company["b" if beside == "away" else "a"]
    second = None
    if beside == "here, settled by being written":
        await client.subscribe(None, topic=">", ack="auto")
    else:
        second = company.name_for(at.name, "z")
        await client.subscribe(second)
    await owner.bench.publish_many("t", 3)
    await until(lambda: len(client.seqs) == 6)
    client.verbs.ack(Ack(topic="t", seq=3, ref="1"))
    await until(lambda: len(client.peer.of("acked")) == 1)
    assert owner.settled(name) == 3
    client.verbs.ack(Ack(topic="t", seq=3, ref="2"))
    await until(lambda: len(client.peer.of("acked")) == 2)
    assert second is None or at.settled(second) == 3
    client.verbs.ack(Ack(topic="t", seq=9, ref="3"))
    await until(lambda: client.peer.of("error"))
    assert [frame["code"] for frame in client.peer.of("error")] == ["unknown_delivery"]


async def test_ids_are_known_however_many_may_be_out_by_now(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=5)
    owner = company["b"]
    await owner.bench.broker.subscriptions.update(T, name, {"max_in_flight": 500})
    await owner.bench.publish_many("t", 200)
    await until(lambda: len(client.seqs) == 200)
    for n, id_ in enumerate(client.ids):
        client.verbs.ack(Ack(message_id=id_, ref=str(n)))
    await until(lambda: len(client.peer.of("acked")) == 200)
    assert owner.settled(name) == 200


async def test_one_that_is_worked_on_for_long_is_known_after_many_others(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=2)
    await company["b"].bench.publish_many("t", 30)
    await until(lambda: len(client.seqs) == 2)
    for n in range(1, 30):
        await until(lambda n=n: len(client.seqs) > n)
        client.verbs.reject(Reject(client.ids[n]))
    client.verbs.extend(Extend(client.ids[0], ref="more"))
    client.verbs.ack(Ack(message_id=client.ids[0], ref="done"))
    await until(lambda: [frame["ref"] for frame in client.peer.of("acked")] == ["more", "done"])


async def test_copies_of_two_subscriptions_are_rejected_one_by_one(company):
    client = await company["a"].client().subscribe(company.name_for("b"))
    await client.subscribe(company.name_for("b", "z"))
    await company["b"].bench.publish_many("t", 1)
    await until(lambda: len(client.seqs) == 2)
    for n, id_ in enumerate(client.ids):
        client.verbs.reject(Reject(id_, ref=str(n)))
    await until(lambda: len(client.peer.of("acked")) == 2)


# What waits for the socket ------------------------------------------------------------------------


async def test_what_the_socket_has_not_taken_does_not_run_out_of_time(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_attempts=1)
    owner = company["b"]
    client.reads(False)
    await owner.bench.publish_many("t", 3)
    await until(lambda: share(client, name).inflow.held_bytes)
    for _ in range(10):
        await owner.bench.advance(30)
        await asyncio.sleep(0.02)
    assert await letters(owner) == []
    client.reads(True)
    await until(lambda: client.seqs == [1, 2, 3])


async def test_of_who_does_not_read_nothing_more_is_handed_out(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, ack="auto")
    client.reads(False)
    for _ in range(40):
        await company["b"].bench.publish("t", "x" * 131_000)
    await asyncio.sleep(0.3)
    held_bytes = client.connection.gap_bytes
    assert 0 < held_bytes < 3 * 262_144
    assert held_bytes == sum(len(data) for data in share(client, name).inflow.kept)
    client.reads(True)
    await until(lambda: client.seqs == list(range(1, 41)))


async def test_what_is_settled_by_being_written_is_written_when_the_owner_changes(company):
    name = name_of(company, "b", "c")
    client = await company["a"].client().subscribe(name, ack="auto")
    client.reads(False)
    await company["b"].bench.publish_many("t", 20)
    await until(lambda: share(client, name).inflow.held_bytes)
    company.meet("a", "c")
    await until(lambda: company["c"].settled(name) >= 0)
    client.reads(True)
    await company["c"].bench.publish_many("t", 2)
    await until(lambda: client.seqs == list(range(1, 23)))
    assert client.peer.closed is None


async def test_who_may_have_missed_what_was_settled_by_being_sent_is_to_come_again(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, ack="auto")
    await company["b"].bench.publish_many("t", 1)
    await until(lambda: client.seqs)
    company.cut("a", "b")
    await until(lambda: client.peer.closed)
    assert client.peer.closed[0] == CLOSE_MOVED


# What is left behind ------------------------------------------------------------------------------


async def test_who_is_welcomed_when_the_time_is_over_is_subscribed(company, monkeypatch):
    monkeypatch.setattr(away, "ATTACH_TIMEOUT_S", 0.3)
    name, loop = company.name_for("b"), asyncio.get_running_loop()
    hear, until_at = Outgoing._hear, loop.time() + 0.4

    def late(self: Outgoing, kind: int, data: bytes) -> None:
        hear(self, kind, data)
        while kind == Said.WELCOME and loop.time() < until_at:
            pass

    monkeypatch.setattr(Outgoing, "_hear", late)
    client = await company["a"].client().subscribe(name)
    assert client.connection.places == (("t", name),)
    assert share(client, name).state is State.AWAY


async def test_a_subscribe_that_is_given_up_leaves_nobody_at_the_owner(company, monkeypatch):
    name = company.name_for("b")
    client = company["a"].client()
    attach = Away.attach

    async def late(self: Away) -> bool:
        await attach(self)
        raise Unavailable("too late")

    monkeypatch.setattr(Away, "attach", late)
    with pytest.raises(Unavailable, match="too late"):
        await client.subscribe(name)
    await until(lambda: not company["b"].exchange.guests)


async def test_a_subscription_that_was_made_again_as_another_is_told_as_deleted(company):
    name, owner = company.name_for("b"), company["b"]
    client = await company["a"].client().subscribe(name)
    await lost(company, client, name)
    await owner.bench.broker.subscriptions.delete(T, name)
    await owner.bench.broker.topics.ensure(T, "u")
    await owner.bench.broker.subscriptions.create(T, name, "u", DURABLE, None)
    await found(company)
    await until(lambda: client.peer.of("unsubscribed"))
    assert client.connection.places == ()


async def test_a_start_is_not_kept_longer_than_it_is_of_use(company):
    name = company.name_for("b")
    start = StartAt(positions={"t": StartPosition(1)})
    client = await company["a"].client().subscribe(name, start=start)
    assert share(client, name)._frame.start is None


async def test_ids_that_are_remembered_count_as_memory(company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=2_000)
    for _ in range(2):
        await company["b"].bench.publish_many("t", 600)
    await until(lambda: len(client.seqs) == 1_200)
    assert client.connection.gap_bytes >= 1_200 * 100
    assert client.peer.growing_count > 0
    client.connection.close()
    assert client.connection.gap_bytes == 0


async def test_who_has_left_with_much_unanswered_is_not_read(company, monkeypatch):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=2_000)
    await company["b"].bench.publish_many("t", 1_000)
    await until(lambda: len(client.seqs) == 1_000)
    monkeypatch.setattr(Outgoing, "say", lambda *_: False)
    for id_ in client.ids:
        client.verbs.ack(Ack(message_id=id_))
    client.connection.unsubscribe(Unsubscribe("t", name))
    assert client.connection.places == ()
    assert client.verbs.is_busy
    company.cut("a", "b")
    await until(lambda: not client.verbs.is_busy)


async def test_very_many_that_lose_their_owner_do_not_all_look_for_it_in_one_turn(company):
    count = 200
    names = [company.name_for("b", f"m{n}-") for n in range(count)]
    client = company["a"].client()
    client.connection._room = client.connection._room._replace(max_count=count)
    for name in names:
        await client.subscribe(name)
    tried: list[int] = []
    turn = 0
    attach = company["a"].elsewhere.attach

    def counted(*args: object) -> object:
        tried.append(turn)
        return attach(*args)

    company["a"].elsewhere.attach = counted
    company.cut("a", "b")

    def lost_ones() -> int:
        nonlocal turn
        turn += 1
        return sum(share(client, name).state is State.LOST for name in names)

    while len(tried) < count:
        lost_ones()
        await asyncio.sleep(0)
    assert max(tried.count(each) for each in set(tried)) <= 40
    await until(lambda: all(share(client, name).state is State.AWAY for name in names))
