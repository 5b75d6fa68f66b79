"""Two nodes on one store, whatever happens in whatever order: leases that are lost, claims, acks, publishes,
seeks, restarts, and a store that cannot be reached. Every delivery is checked at the moment in which it is
written.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.broker.administer import altering
from conduit.broker.deliver import claiming, ownership, progress
from conduit.errors import ConduitError, StoreUnavailable
from conduit.names import DEFAULT_TENANT as T
from conduit.protocol.frames import Subscribe
from tests.broker.kit import ManualClock, Peer, running_broker
from tests.broker.leased import LeasedStore
from tests.broker.nodes import Node, ack, begun, comes

pytestmark = pytest.mark.slow

NODES_COUNT = 2
SLOW_TURNS_MAX_COUNT = 6
REST_TURNS_COUNT = 500

# How often each of them is chosen beside the others.
WEIGHTS = {
    "publish": 9,
    "attach": 4,
    "detach": 2,
    "break": 1,
    "ack": 3,
    "lapse": 2,
    "over": 3,
    "lose": 3,
    "hold": 6,
    "regain": 3,
    "come_back": 3,
    "cut": 1,
    "mend": 2,
    "hear": 2,
    "flush": 3,
    "restart": 1,
    "seek": 1,
    "advance": 1,
    "rest": 2,
}
# What happens, at which node, and for how many turns of the loop nothing else does then.
steps = st.lists(
    st.tuples(
        st.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]),
        st.integers(0, NODES_COUNT - 1),
        st.integers(0, 12),
    ),
    min_size=25,
    max_size=80,
)


class Port:
    """The store as one node reaches it: each call takes some turns of the loop before it happens, and some
    after that; while it `is_cut` it fails."""

    def __init__(self, store: LeasedStore, dice: random.Random) -> None:
        self._store = store
        self._dice = dice
        self.is_cut = False

    def __getattr__(self, name: str):
        found = getattr(self._store, name)
        return self._slow(found) if asyncio.iscoroutinefunction(found) else found

    def _slow(self, call):
        async def called(*args, **more):
            await self._some_turns()
            if self.is_cut and call.__name__ != "close":
                raise StoreUnavailable("the store cannot be reached")
            result = await call(*args, **more)
            await self._some_turns()
            return result

        return called

    async def _some_turns(self) -> None:
        for _ in range(self._dice.randrange(SLOW_TURNS_MAX_COUNT)):
            await asyncio.sleep(0)


class Client(Peer):
    """Tells the world of each frame when it comes."""

    def __init__(self, told: Callable[[Client, int], None]) -> None:
        super().__init__()
        self._told = told

    def write(self, data: bytes) -> None:
        before = len(self.frames)
        super().write(data)
        for frame in self.frames[before:]:
            if frame["type"] == "message":
                self._told(self, frame["seq"])


class World:
    """The nodes, and what was seen of them."""

    def __init__(self, seed: int, ends: AsyncExitStack) -> None:
        self.store = LeasedStore()
        self.nodes: list[Node] = []
        self.violations: list[str] = []
        self.delivered: set[int] = set()
        self.acked: set[int] = set()
        self._dice = random.Random(seed)
        self._clock = ManualClock()
        self._ends = ends
        self._lives: list[AsyncExitStack] = []
        self._ports: list[Port] = []
        self._clients: list[list[tuple[object, Client]]] = [[] for _ in range(NODES_COUNT)]
        self._tasks: list[asyncio.Task] = []

    async def begin(self) -> None:
        for number in range(NODES_COUNT):
            self.nodes.append(await self._begin_life())
            if not number:
                await self.nodes[0].bench.broker.topics.create(T, "t")
        for number, node in enumerate(self.nodes):
            await node.hear()
            await self.hold(number)
            await self.attach(number)

    async def _begin_life(self) -> Node:
        life = await self._ends.enter_async_context(AsyncExitStack())
        port = Port(self.store, self._dice)
        bench = await life.enter_async_context(running_broker(port, self._clock))
        self._lives.append(life)
        self._ports.append(port)
        return Node(bench, self.store, takes_over=False)

    # What happens ---------------------------------------------------------------------------------

    async def publish(self, number: int) -> None:
        bench = self.nodes[number].bench
        bench.broker.publish(T, bench.request("t"), lambda _: None)

    async def attach(self, number: int) -> None:
        node = self.nodes[number]
        peer = Client(lambda client, seq: self._was_delivered(node, client, seq))
        attached = node.bench.broker.connect(T, peer)
        self._clients[number].append((attached, peer))
        subscribe = Subscribe("t", subscription="s", start="earliest", ack_wait_ms=3_600_000)

        async def subscribed() -> None:
            with suppress(ConduitError):
                await attached.subscribe(subscribe)

        self._tasks.append(begun(subscribed()))

    async def detach(self, number: int, *, lost: bool = False) -> None:
        if self._clients[number]:
            self._clients[number].pop(0)[0].close(lost=lost)

    async def break_(self, number: int) -> None:
        await self.detach(number, lost=True)

    async def ack(self, number: int, count: int | None = None) -> None:
        for attached, peer in self._clients[number]:
            if peer.closed is None and peer.of("subscribed") and peer.seqs:
                seqs = sorted(set(peer.seqs))[: count or self._dice.randrange(1, 5)]
                with suppress(ConduitError):
                    ack(attached, seqs[-1])
                    self.acked.update(seqs)

    async def lapse(self, number: int) -> None:
        self.nodes[number].lapse(is_told=self._dice.random() < 0.5)

    async def over(self, number: int) -> None:
        node = self.nodes[number]
        if not node.is_held:
            self.store.live.discard(node.incarnation)

    async def lose(self, number: int) -> None:
        await self.lapse(number)
        await self.over(number)

    async def regain(self, number: int) -> None:
        await self.lose(number)
        await self.hold(number)

    async def come_back(self, number: int) -> None:
        """After so long that another node may have been the owner; and there is something to hand out."""
        await self.lose(number)
        for _ in range(self._dice.randrange(60)):
            await asyncio.sleep(0)
        await self.hold(number)
        await self.publish(number)

    async def hold(self, number: int) -> None:
        node = self.nodes[number]
        if not node.is_held and not self._ports[number].is_cut:
            # As it is told: that one is lost comes first.
            node.lapse()
            await node.have_term()

    async def cut(self, number: int) -> None:
        self._ports[number].is_cut = True

    async def mend(self, number: int) -> None:
        self._ports[number].is_cut = False

    async def hear(self, number: int) -> None:
        with suppress(ConduitError):
            await self.nodes[number].hear()

    async def flush(self, number: int) -> None:
        with suppress(ConduitError):
            await self.nodes[number].bench.broker._engine.progress.flush()

    async def restart(self, number: int) -> None:
        if self._ports[number].is_cut:
            return
        for attached, _ in self._clients[number]:
            attached.close()
        self._clients[number].clear()
        node = self.nodes[number]
        await node.bench.broker.stop()
        node.lapse()
        self.store.live.discard(node.incarnation)
        old_port = self._ports[number]
        self.nodes[number] = await self._begin_life()
        self._ports[number] = self._ports.pop()
        old_port.is_cut = True
        await self.hear(number)

    async def seek(self, number: int) -> None:
        if not self._ports[number].is_cut:
            with suppress(ConduitError):
                subscriptions = self.nodes[number].bench.broker.subscriptions
                await subscriptions.seek(T, "s", "earliest", dry_run=False)
                self.acked.clear()

    async def advance(self, _: int = 0) -> None:
        # One clock for all.
        await self.nodes[0].bench.advance(100.0)
        await self.nodes[1].bench.advance(0.0)

    async def rest(self, _: int = 0) -> None:
        for _ in range(REST_TURNS_COUNT):
            await asyncio.sleep(0)
        for node in self.nodes:
            self._check_at_rest(node)

    # What must be true ----------------------------------------------------------------------------

    def _was_delivered(self, node: Node, client: Client, seq: int) -> None:
        self.delivered.add(seq)
        running = node.running()
        owner = running and self.store.owner_of(running.group.subscription_id)
        if not node.is_held:
            self.violations.append(f"{node.incarnation} delivers {seq} without a lease")
        if owner != node.incarnation:
            self.violations.append(f"{node.incarnation} delivers {seq}, and {owner} is the owner")
        if client.closed is not None:
            self.violations.append(f"{node.incarnation} delivers {seq} to who was sent away")

    def _check_at_rest(self, node: Node) -> None:
        running = node.running()
        if running is None or not running.group.subscribers or not running.group.is_ours:
            return
        for cursor in running.cursors.values():
            if cursor._source.stalled_until > self._clock.now():
                # The log could not be read.
                continue
            if cursor.delivery.cursor < cursor.topic.last_seq:
                self.violations.append(
                    f"{node.incarnation} owes {cursor.delivery.cursor + 1}: {cursor.state}"
                )
            if cursor.delivery.due(self._clock.now()) is not None:
                self.violations.append(f"{node.incarnation} owes what is due again: {cursor.state}")

    async def heal(self) -> None:
        """Everything works, one client takes all, and then nothing is open."""
        for number in range(NODES_COUNT):
            await self.mend(number)
            await self.hold(number)
            await self.hear(number)
            while self._clients[number]:
                await self.detach(number)
            await self.flush(number)
        await comes(lambda: all(task.done() for task in self._tasks))
        for number in range(NODES_COUNT):
            await self.flush(number)
        await self.attach(0)
        _, peer = self._clients[0][0]
        await comes(lambda: bool(peer.of("subscribed")))
        await self.hear(0)
        await self.rest()
        # What was lost with a connection waits for a while.
        await self.advance()
        await self.rest()
        last_seq = self.nodes[0].bench.broker.topics.get(T, "t").last_seq
        never_acked = {*range(1, last_seq + 1)} - self.acked
        for _ in range(last_seq):
            if not peer.seqs:
                break
            # Of what was lost several times one is out at a time.
            await self.ack(0, last_seq)
            await self.rest()
        assert never_acked - set(peer.seqs) == set(), "not delivered"
        await self.flush(0)
        running = self.nodes[0].running()
        assert running is not None
        rows = await self.store.progress(running.group.subscription_id)
        assert [row.floor for row in rows if row.floor < last_seq] == []
        assert self.store.owner_of(running.group.subscription_id) == self.nodes[0].incarnation


@contextmanager
def impatient() -> Iterator[None]:
    """What is waited for in seconds comes in the next turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claiming, "CLAIM_AGAIN_S", 0.0)
        # A step waits for its seek.
        patch.setattr(altering, "CLAIM_WAIT_MAX_S", 0.0)
        patch.setattr(ownership, "RETRY_S", 0.0)
        patch.setattr(progress, "FLUSH_INTERVAL_S", 0.0)
        patch.setattr(progress, "RETRY_INTERVAL_S", 0.0)
        yield


async def run(script: list[tuple[str, int, int]], seed: int) -> World:
    async with AsyncExitStack() as ends:
        world = World(seed, ends)
        await world.begin()
        for name, number, turns_count in script:
            await getattr(world, "break_" if name == "break" else name)(number)
            assert world.violations == []
            for _ in range(turns_count):
                await asyncio.sleep(0)
        await world.heal()
        assert world.violations == []
    return world


@pytest.mark.timeout(600)
@settings(max_examples=150)
@given(script=steps, seed=st.integers(0, 1 << 32))
def test_no_two_nodes_deliver_at_once_and_nothing_is_lost(script, seed):
    with impatient():
        asyncio.run(run(script, seed))
