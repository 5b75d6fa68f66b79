"""What is on its way of a client that leaves a subscription of another node: nothing of it stays, and nothing
that counts as settled is lost without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from conduit.broker.attach import away
from conduit.cluster.elsewhere import Outgoing
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.codes import CLOSE_MOVED
from conduit.protocol.frames import Extend, Unsubscribe
from tests.broker.stores import SharedStore
from tests.cluster.company import Client, Company, a_company
from tests.cluster.links.kit import until

# More than a channel's window: it comes in parts, and not all of them without credit.
LARGE_BYTES = 262_000


@pytest.fixture
async def company() -> AsyncIterator[Company]:
    """Clients are at `a`, and what they subscribe to is at `b`."""
    async with a_company("a", "b", store=SharedStore()) as made:
        for member in made.members.values():
            await member.bench.broker.topics.ensure(T, "t")
        yield made


def guests(company: Company) -> Any:
    return company["b"].exchange.guests._guests


async def a_large_one_is_coming(company: Company) -> None:
    """To clients that do not read."""
    await company["b"].bench.publish("t", "x" * LARGE_BYTES)
    await until(lambda: any(guest.pending_bytes for guest in guests(company)))
    await asyncio.sleep(0.05)


async def test_who_leaves_in_the_middle_of_a_large_message_leaves_nothing(company: Company):
    name = company.name_for("b")
    for reads_again in (True, False):
        client = await company["a"].client().subscribe(name)
        client.reads(False)
        await a_large_one_is_coming(company)
        client.connection.unsubscribe(Unsubscribe("t", name))
        if reads_again:
            client.reads(True)
        client.connection.close()
        await until(lambda: not guests(company))
    assert company["a"].exchange.links.to("b").channel_count == 0


async def test_what_a_client_had_that_is_gone_is_given_to_another(company: Company):
    name = company.name_for("b")
    client = await company["a"].client().subscribe(name, max_in_flight=100, ack_wait_ms=1_000)
    await company["b"].bench.publish_many("t", 5)
    await until(lambda: len(client.seqs) == 5)
    client.reads(False)
    await a_large_one_is_coming(company)
    count = 0
    # As long as a session reads, and a bit of time for what can be said.
    while not client.verbs.is_busy:
        client.verbs.extend(Extend(client.ids[count % 5]))
        count += 1
        if count % 50 == 0:
            await asyncio.sleep(0)
    client.connection.close(lost=True)
    other = await company["b"].client().subscribe(name)
    await until(lambda: other.seqs[:5] == [1, 2, 3, 4, 5])


async def test_of_a_large_message_all_that_has_come_counts_as_memory(company: Company):
    client = await company["a"].client().subscribe(company.name_for("b"))
    client.peer.writable = False
    await a_large_one_is_coming(company)
    client.reads(False)
    assert client.connection.gap_bytes > LARGE_BYTES / 4
    client.reads(True)
    await until(lambda: client.seqs == [1])
    assert client.connection.gap_bytes < 1_000


async def a_slow_one(company: Company, name: str) -> Client:
    """Messages wait for its socket that count as settled."""
    client = await company["a"].client().subscribe(name, ack="auto")
    client.reads(False)
    await company["b"].bench.publish_many("t", 200)
    await until(lambda: client.connection.gap_bytes > 10_000)
    return client


async def test_what_counts_as_settled_still_comes_before_unsubscribed(company: Company):
    name = company.name_for("b")
    client = await a_slow_one(company, name)
    client.connection.unsubscribe(Unsubscribe("t", name, ref="u"))
    await until(lambda: not guests(company))
    assert (client.seqs, client.peer.of("unsubscribed")) == ([], [])
    again = asyncio.get_running_loop().create_task(client.subscribe(name, ack="auto"))
    client.reads(True)
    await again
    await company["b"].bench.publish("t", "last")
    await until(lambda: 201 in client.seqs)
    assert client.seqs == [*range(1, 202)]
    kinds = [frame["type"] for frame in client.peer.frames if frame["type"] != "message"]
    assert kinds == ["subscribed", "unsubscribed", "subscribed"]
    assert client.peer.frames[201]["ref"] == "u"


@pytest.mark.parametrize("how", ["late", "lost"])
async def test_who_cannot_have_all_of_it_is_to_come_again(company: Company, monkeypatch, how: str):
    monkeypatch.setattr(away, "PARTING_MAX_S", 0.2)
    name = company.name_for("b")
    client = await a_slow_one(company, name)
    if how == "late":
        # Nothing is said any more, so nothing is answered.
        monkeypatch.setattr(Outgoing, "say", lambda *_: False)
    client.connection.unsubscribe(Unsubscribe("t", name))
    if how == "lost":
        company["a"].exchange.links.to("b")._wire.abort()
    await until(lambda: client.peer.closed is not None)
    assert client.peer.closed is not None
    assert client.peer.closed[0] == CLOSE_MOVED
    assert client.peer.of("unsubscribed") == []
    await until(lambda: not guests(company))


async def test_a_client_that_is_gone_is_let_go_although_its_verbs_cannot_be_said(
    company: Company, monkeypatch
):
    monkeypatch.setattr(away, "PARTING_MAX_S", 0.2)
    client = await company["a"].client().subscribe(company.name_for("b"))
    monkeypatch.setattr(Outgoing, "say", lambda *_: False)
    await company["b"].bench.publish("t")
    await until(lambda: client.seqs == [1])
    client.verbs.extend(Extend(client.ids[0]))
    client.connection.close(lost=True)
    assert len(guests(company)) == 1
    await until(lambda: not guests(company))
