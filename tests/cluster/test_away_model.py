"""Random events on three nodes with clients everywhere: what holds of durable subscriptions nevertheless.

Messages are published, acked and nacked; clients come, go and stop reading; links break; owners change. None
of it is a failed attempt, what was confirmed is not handed out again, and in the end all is delivered.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from conduit.broker.attach.inflow import Inflow
from conduit.cluster.guest import Guest
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Ack, Nack, Unsubscribe
from conduit.storage.dead_letters import DeadFilter
from conduit.storage.postgres import PostgresStore
from tests.broker.kit import Peer
from tests.broker.leased import LeasedStore, SharedStore
from tests.cluster.company import Client, Company, a_company
from tests.cluster.links.kit import until

pytestmark = pytest.mark.slow

NODES = ("a", "b", "c")
TOPICS = ("t", "u")
STEPS_COUNT = 80
CLIENTS_MAX_COUNT = 8


class Witness:
    """Knows at which moment what was handed out, and what was confirmed before."""

    def __init__(self) -> None:
        # Of deliveries: the subscription, the topic, and the number.
        self.confirmed: set[tuple[str, str, int]] = set()
        self.nacked: set[tuple[str, str, int]] = set()
        self.faults: list[str] = []
        # Of each guest, by topic: the last number that it was handed for the first time.
        self.firsts: dict[tuple[Any, str], int] = {}

    def handed(self, who: Any, frame: dict[str, Any]) -> None:
        """Written by the broker of the owner."""
        if frame["type"] != "message" or "subscription" not in frame:
            return
        what = frame["subscription"], frame["topic"], frame["seq"]
        if what in self.confirmed:
            self.faults.append(f"{what} was confirmed, and is handed out again")
        if frame.get("failures", 0) and what not in self.nacked:
            self.faults.append(f"{what} has failed, and nobody has said so")
        if isinstance(who, Guest) and frame["attempt"] == 1:
            last = self.firsts.get((who, frame["topic"]), 0)
            if frame["seq"] <= last:
                self.faults.append(f"{what} came behind {last}")
            self.firsts[who, frame["topic"]] = frame["seq"]


class Fan(Client):
    """A client with its subscription, and what it has asked."""

    def __init__(self, company: Company, node: str, name: str, witness: Witness) -> None:
        super().__init__(company[node].bench)
        self.name = name
        self.node = node
        self.witness = witness
        self.asked: dict[str, list[tuple[str, str, int]]] = {}
        self.seen = 0
        self.open: dict[str, tuple[str, str, int]] = {}
        self.is_arrival = False
        write = self.peer.write

        def look(data: bytes) -> None:
            before = len(self.peer.frames)
            write(data)
            for frame in self.peer.frames[before:]:
                self.hear(frame)

        self.peer.write = look
        self.peer.fan = self

    def hear(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "message":
            self.open[frame["message_id"]] = self.name, frame["topic"], frame["seq"]
            if not self.is_arrival:
                self.witness.handed(self, frame)
        elif frame["type"] == "acked":
            self.witness.confirmed.update(self.asked.pop(frame["ref"]))
        elif frame["type"] == "error":
            # It is asked again, when it comes again.
            assert frame["code"] in ("unavailable", "unknown_delivery", "stale_attempt"), frame
            self.asked.pop(frame["ref"])

    def ack(self, chance: random.Random, *, every: bool = False) -> None:
        ids = [each for each in self.open if every or chance.random() < 0.5]
        if not ids:
            return
        ref = f"{id(self)}-{len(self.asked)}-{chance.random()}"
        self.asked[ref] = [self.open.pop(each) for each in ids]
        named = chance.choice((None, self.name))
        self.verbs.ack(Ack(message_ids=ids, subscription=named, ref=ref))

    def nack(self, chance: random.Random) -> None:
        if self.open:
            message_id = chance.choice(list(self.open))
            self.witness.nacked.add(self.open.pop(message_id))
            self.verbs.nack(Nack(message_id, subscription=self.name, delay_ms=0))


class Play:
    """One run."""

    def __init__(self, company: Company, witness: Witness, seed: int) -> None:
        self.company = company
        self.witness = witness
        self.chance = random.Random(seed)
        self.names = [company.name_for(node) for node in NODES]
        self.fans: list[Fan] = []

    async def step(self) -> None:
        chance = self.chance
        often = (self.publish, self.ack) * 8 + (self.come,) * 4 + (self.read,) * 3
        seldom = (self.nack, self.go) * 2 + (self.cut, self.move, self.claim)
        event = chance.choice(often + seldom)
        await event()
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() / 50)

    async def publish(self) -> None:
        member = self.company[self.chance.choice(NODES)]
        payload = "x" * self.chance.choice((1, 1, 5_000))
        for _ in range(self.chance.randint(1, 5)):
            await member.bench.publish(self.chance.choice(TOPICS), payload)

    async def ack(self) -> None:
        if self.fans:
            self.chance.choice(self.fans).ack(self.chance)

    async def nack(self) -> None:
        if self.fans:
            self.chance.choice(self.fans).nack(self.chance)

    async def come(self) -> None:
        if len(self.fans) < CLIENTS_MAX_COUNT:
            await self.enter(self.chance.choice(NODES), self.chance.choice(self.names))

    async def enter(self, node: str, name: str) -> None:
        fan = Fan(self.company, node, name, self.witness)
        prefetch = self.chance.choice((None, 3))
        await fan.subscribe(name, topic="*", prefetch=prefetch)
        self.fans.append(fan)

    async def go(self) -> None:
        if not self.fans:
            return
        fan = self.fans.pop(self.chance.randrange(len(self.fans)))
        if self.chance.random() < 0.5:
            fan.connection.unsubscribe(Unsubscribe("*", fan.name))
        fan.connection.close()
        fan.asked.clear()
        fan.hear = lambda frame: None

    async def read(self) -> None:
        if self.fans:
            fan = self.chance.choice(self.fans)
            fan.reads(not fan.peer.writable)

    async def cut(self) -> None:
        self.company.cut(*self.chance.sample(NODES, 2))

    async def move(self) -> None:
        up = self.chance.sample(NODES, self.chance.randint(1, 3))
        self.company.meet(*up)

    async def claim(self) -> None:
        """Another node claims one without waiting: what is not stored of it is lost."""
        member = self.company[self.chance.choice(NODES)]
        owned = member.bench.broker._owned
        for running in owned.running():
            owned.move_away(owned.get(T, running.group.name), "another node has claimed it")

    async def end(self) -> None:
        """All is well again: everything that is owed comes, and is acked."""
        self.company.meet(*NODES)
        await self.company.linked()
        for name in self.names:
            if not any(fan.name == name for fan in self.fans):
                await self.enter(self.chance.choice(NODES), name)
        for fan in self.fans:
            fan.reads(True)
        await until(self.is_settled)

    def is_settled(self) -> bool:
        for fan in self.fans:
            fan.ack(self.chance, every=True)
        return all(self.floors(name) == self.ends() for name in self.names)

    def floors(self, name: str) -> list[int]:
        owner = next(node for node in NODES if self.company[node].elsewhere.is_owner(T, name))
        return [self.company[owner].settled(name, topic) for topic in TOPICS]

    def ends(self) -> list[int]:
        return [
            max(self.company[node].bench.broker.topics.get(T, topic).last_seq for node in NODES)
            for topic in TOPICS
        ]


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    seen = Witness()
    guest_write, arrive = Guest.write, Inflow._write

    def handed(guest: Guest, data: bytes) -> None:
        peer = Peer()
        peer.write(data)
        for frame in peer.frames:
            seen.handed(guest, frame)
        guest_write(guest, data)

    def arriving(inflow: Inflow, data: bytes, size_bytes: int) -> None:
        fan: Fan = inflow._outlet.fan
        fan.is_arrival = True
        arrive(inflow, data, size_bytes)
        fan.is_arrival = False

    monkeypatch.setattr(Guest, "write", handed)
    monkeypatch.setattr(Inflow, "_write", arriving)
    return seen


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_all_is_delivered_and_nothing_confirmed_comes_again(
    seed: int, witness: Witness
):
    await run(seed, witness, SharedStore())


@pytest.mark.parametrize("seed", range(200, 206))
async def test_so_it_is_where_owners_wait_for_each_other(seed: int, witness: Witness):
    await run(seed, witness, LeasedStore())


@pytest.mark.parametrize("seed", range(100, 102))
async def test_so_it_is_with_a_database(seed: int, witness: Witness, cluster: Any):
    url = cluster.empty_database()
    await run(seed, witness, lambda: PostgresStore(url))


async def run(seed: int, witness: Witness, store: Any) -> None:
    async with a_company(*NODES, store=store) as company:
        for member in company.members.values():
            await member.bench.broker.topics.ensure_all(T, TOPICS)
        play = Play(company, witness, seed)
        for name in play.names:
            # Nothing is a failure here but what a client says.
            fan = company["a"].client()
            await fan.subscribe(name, topic="*", max_lost=1, max_attempts=100)
            fan.connection.close()
        for _ in range(STEPS_COUNT):
            await play.step()
        await play.end()
        assert witness.faults == []
        await company.flush()
        found = await company["a"].bench.broker.dead_letters.list(T, DeadFilter(), limit=100)
        assert found.letters == []


def test_the_witness_sees_what_it_is_there_for():
    seen = Witness()
    seen.confirmed.add(("s", "t", 1))
    frame = {"type": "message", "subscription": "s", "topic": "t", "seq": 1, "attempt": 1}
    seen.handed(None, frame)
    seen.handed(None, frame | {"seq": 2, "failures": 1})
    assert len(seen.faults) == 2
    assert msgspec.json.encode(seen.faults)
