"""Two connections, and every pair of what they do: one is in the middle of its transaction while the
other begins; then the first commits, or rolls back.
"""

from __future__ import annotations

import asyncio
from itertools import count

import asyncpg
import pytest
import uuid_utils

from conduit.core.message import Progress, Retention, SubscriptionSettings
from conduit.storage.base import Former, Heard
from conduit.storage.postgres import (
    former,
    housekeeping,
    owners,
    reads,
    scope,
    segments,
    subscriptions,
    topics,
)
from conduit.storage.postgres.batch import Batch
from conduit.storage.postgres.extents import Extents
from conduit.storage.postgres.lane import Ticket
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT
from tests.storage.postgres_kit import EAGER, WINDOW_S, opened

# For a statement to end, or to wait for the other connection's lock.
PATIENCE_S = 0.05
_numbers = count(1)


class Side:
    """One connection of one server, with a writer of its own."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.writer_id = str(uuid_utils.uuid7())
        self.node = str(uuid_utils.uuid7())
        self.batch_number = 0
        self.fence = 0
        self.extents = Extents()

    async def register(self) -> None:
        await self.connection.execute(
            "INSERT INTO conduit.writers (writer_id, token) VALUES ($1, 1)", self.writer_id
        )


class Scene:
    """Two topics, a subscription on both and one to be deleted, and what the two sides were told of them."""

    def __init__(self, store, a, b, subscription, doomed) -> None:
        self.store = store
        self.a = a
        self.b = b
        self.subscription_id = subscription.subscription_id
        self.doomed_id = doomed.subscription_id
        # What was committed: (topic id, seq) → payload, the floors in `a` by the fence they came with, the
        # newest of them, that in `b`, and what that was when `b` was deleted.
        self.stored: dict[tuple[int, int], bytes] = {}
        self.settled: list[tuple[int, int]] = []
        self.floor = 0
        # Which node has it, and with which fence; no node has a lease.
        self.owner: tuple[str, int] | None = None
        self.other_floor = self.former_floor = 1
        self.is_deleted = self.is_forgotten = False

    # What a side does. Each returns what is true once its transaction is committed.

    async def append(self, side: Side):
        return await self._append(side, [self.a, self.b, self.a])

    async def append_in_another_order(self, side: Side):
        return await self._append(side, [self.b, self.a])

    async def _append(self, side: Side, order):
        new = [
            given.message(
                record.topic_id, side.name.encode() * (n + 1), idempotency_key=f"{side.name}{n}"
            )
            for n, record in enumerate(order)
        ]
        batch, answer = Batch(new, WINDOW_S), {}
        while 0 not in answer:
            segment = answer.get(-1) or await side.connection.fetchval(
                "SELECT segment FROM conduit.segments WHERE retired_at IS NULL"
            )
            side.batch_number += 1
            values = (side.writer_id, 1, side.batch_number, *batch.values)
            rows = await side.connection.fetch(batch.statement(segment), *values)
            answer = {row[0]: row[1] for row in rows}
        seqs = batch.seqs({id_: seq for id_, seq in answer.items() if id_ > 0})
        return lambda: self.stored.update(
            {(m.topic_id, seq): m.payload for m, seq in zip(new, seqs, strict=True) if seq}
        )

    async def claim(self, side: Side):
        return await self._claim(side, None)

    async def claim_as_node(self, side: Side):
        return await self._claim(side, side.node)

    async def _claim(self, side: Side, owner: str | None):
        fence = await owners.claim(
            side.connection, self.subscription_id, owner, by_force=owner is None
        )

        def claimed() -> None:
            side.fence = fence
            self.owner = owner and (owner, fence)

        return claimed

    async def give_up(self, side: Side):
        claimed = [(self.doomed_id, 1), (self.subscription_id, side.fence)]
        await owners.release(side.connection, side.node, claimed)

        def given_up() -> None:
            if self.owner == (side.node, side.fence):
                self.owner = None

        return given_up

    async def ask_what_it_has(self, side: Side):
        owned = await owners.owned(side.connection, side.node)

        return lambda: self._check_owned(side.node, owned)

    def _check_owned(self, node: str, owned) -> None:
        fences = [fence for id_, fence in owned if id_ == self.subscription_id]
        assert fences == [fence for owner, fence in [self.owner or ("", 0)] if owner == node]

    async def settle(self, side: Side):
        floor = next(_numbers)
        row = Progress(self.subscription_id, self.a.topic_id, floor, floor, fence=side.fence)
        refused = await subscriptions.put(side.connection, [row], Ticket(side.writer_id, 1))

        def settled() -> None:
            if not refused:
                self.settled.append((side.fence, floor))
                self.floor = floor

        return settled

    async def seek(self, side: Side):
        floor = next(_numbers)
        floors = [(self.a.topic_id, floor), (self.b.topic_id, floor)]
        await subscriptions.seek(side.connection, self.subscription_id, floors)

        def moved() -> None:
            self.floor = self.other_floor = floor
            if self.owner is not None:
                self.owner = (self.owner[0], self.owner[1] + 1)

        return moved

    async def trim(self, side: Side):
        keep = housekeeping.Rule(Retention(max_messages=1), NOW_MS)
        await housekeeping.trim(side.connection, side.extents, self.a.topic_id, keep, 2)
        return lambda: None

    async def delete(self, side: Side):
        followers = [self.doomed_id, self.subscription_id]
        await topics.delete(side.connection, self.b.topic_id, followers, NOW_MS)

        def deleted() -> None:
            if not self.is_deleted:
                self.former_floor = self.other_floor
            self.is_deleted = True

        return deleted

    async def unsubscribe(self, side: Side):
        await subscriptions.delete(side.connection, self.doomed_id)
        return lambda: None

    async def forget_former(self, side: Side):
        self.is_forgotten = True
        await former.trim(side.connection, NOW_MS + 1, 2)
        await former.heard(
            side.connection, [Heard(self.doomed_id, self.b.name, self.b.epoch, True)]
        )
        return lambda: None

    async def subscribe(self, side: Side):
        name = f"s{next(_numbers)}"
        given_record = subscriptions.SubscriptionRecord(
            0, TENANT, name, ">", NOW_MS, False, SubscriptionSettings()
        )
        await subscriptions.create(side.connection, given_record, [(self.a.topic_id, 1)], [])
        return lambda: None

    async def rotate(self, side: Side):
        await segments.rotate(side.connection, EAGER)
        return lambda: None

    async def drop(self, side: Side):
        await segments.drop_unneeded(side.connection, EAGER)
        return lambda: None

    async def sweep(self, side: Side):
        await segments.sweep(side.connection, EAGER, 2)
        await segments.purge(side.connection, 2)
        return lambda: None

    async def check(self) -> None:
        """The log is whole, and what was told is true."""
        for record in await self.store.topics():
            if record.topic_id not in (self.a.topic_id, self.b.topic_id):
                continue
            found = await self.store.read(record.topic_id, 1, limit=1_000)
            numbers = range(record.first_seq, record.last_seq + 1)
            assert [message.seq for message in found] == list(numbers)
            down = await self.store.read(record.topic_id, 1_000, limit=1_000, descending=True)
            assert down == found[::-1]
            assert record.stored_bytes == sum(len(message.payload) for message in found)
            for message in found:
                assert self.stored[record.topic_id, message.seq] == message.payload
            told = [seq for topic_id, seq in self.stored if topic_id == record.topic_id]
            assert record.last_seq == max(told, default=0)
        if self.is_deleted and not self.is_forgotten:
            remembered = await self.store.former(self.subscription_id)
            last_seq = max(seq for topic_id, seq in self.stored if topic_id == self.b.topic_id)
            assert remembered == [Former(self.b.name, self.b.epoch, self.former_floor, last_seq)]
        for node in (self.x.node, self.y.node):
            self._check_owned(node, await self.store.subscriptions_owned(node))
        # The newest owner's is the last that counts, and each owner's own come in their order.
        assert self.settled == sorted(self.settled)
        floors = await given.floors(self.store, self.subscription_id)
        assert floors.get(self.a.topic_id, 0) == self.floor
        assert floors.get(self.b.topic_id, 0) == (0 if self.is_deleted else self.other_floor)


ACTIONS = [
    Scene.append,
    Scene.append_in_another_order,
    Scene.claim,
    Scene.claim_as_node,
    Scene.give_up,
    Scene.ask_what_it_has,
    Scene.settle,
    Scene.seek,
    Scene.trim,
    Scene.delete,
    Scene.unsubscribe,
    Scene.forget_former,
    Scene.subscribe,
    Scene.rotate,
    Scene.drop,
    Scene.sweep,
]


async def begin_scene(store, sides: list[Side]) -> Scene:
    number = next(_numbers)
    a, b = [await given.topic(store, f"{name}{number}") for name in "ab"]
    subscription = await given.subscription(store, f"s{number}", ">", seq=1)
    doomed = await given.subscription(store, f"d{number}", ">", seq=1)
    both = doomed.subscription_id, subscription.subscription_id
    await store.settle([Progress(id_, b.topic_id, 1, 1) for id_ in both], [])
    scene = Scene(store, a, b, subscription, doomed)
    scene.x, scene.y = sides
    for side in sides:
        side.fence = 0
        for action in (Scene.append, Scene.rotate, Scene.claim_as_node):
            await act(scene, action, side)
    await act(scene, Scene.trim, sides[0])
    return scene


async def act(scene: Scene, action, side: Side) -> None:
    (await action(scene, side))()


async def overlapped(scene: Scene, first, second, sides: list[Side], end: str) -> None:
    """`first` is done and not committed when `second` begins."""
    one, other = sides
    transaction = one.connection.transaction()
    await transaction.start()
    await one.connection.execute(scope.said(scope.ALL))
    committed = await first(scene, one)
    task = asyncio.create_task(second(scene, other))  # noqa: TID251 - awaited below
    await asyncio.wait({task}, timeout=PATIENCE_S)
    is_second_first = task.done()
    if is_second_first:
        task.result()()
    await getattr(transaction, end)()
    if end == "commit":
        committed()
    if not is_second_first:
        (await task)()
    await scene.check()


@pytest.fixture
async def sides(database_url):
    async with opened(database_url, rules=EAGER) as store:
        made = [Side(await asyncpg.connect(database_url), name) for name in "xy"]
        for side in made:
            await side.register()
        yield store, made
        for side in made:
            side.connection.terminate()


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("first", ACTIONS, ids=lambda action: action.__name__)
async def test_the_log_is_whole_whatever_two_connections_do_at_once(sides, first, end):
    store, made = sides
    for second in ACTIONS:
        scene = await begin_scene(store, made)
        await overlapped(scene, first, second, made, end)
        # And it goes on.
        for side in made:
            for action in (Scene.append, Scene.settle, Scene.trim, Scene.drop, Scene.sweep):
                await act(scene, action, side)
        await scene.check()


async def test_what_an_owner_stores_while_another_claims_is_seen_by_the_other_or_refused(sides):
    store, made = sides
    for end in ("commit", "rollback"):
        scene = await begin_scene(store, made)
        old, new = made
        await act(scene, Scene.claim, old)
        new.fence = 0
        transaction = old.connection.transaction()
        await transaction.start()
        await old.connection.execute(scope.said(scope.ALL))
        settled = await scene.settle(old)
        claim = asyncio.create_task(scene.claim(new))  # noqa: TID251 - awaited below
        await asyncio.wait({claim}, timeout=PATIENCE_S)
        assert not claim.done(), "a claim waits for what is being stored"
        await getattr(transaction, end)()
        if end == "commit":
            settled()
        (await claim)()
        seen = await given.floors(store, scene.subscription_id)
        await act(scene, Scene.settle, old)
        assert await given.floors(store, scene.subscription_id) == seen
        await scene.check()


async def test_a_seek_that_meets_what_its_owner_is_storing_comes_after_it(sides):
    store, made = sides
    for end in ("commit", "rollback"):
        scene = await begin_scene(store, made)
        await act(scene, Scene.claim, made[0])
        await overlapped(scene, Scene.settle, Scene.seek, made, end)
        assert scene.floor == scene.other_floor > 1, "the seek is the last"


async def test_reads_at_the_end_of_the_log_see_every_commit_of_others(sides):
    store, made = sides
    scene = await begin_scene(store, made)
    for side in (*made, *made):
        await act(scene, Scene.append, side)
        await act(scene, Scene.rotate, side)
        for reader in made:
            last = (await given.topic_now(store, scene.a.topic_id)).last_seq
            page = reads.Page(scene.a.topic_id, last, 10, 1 << 20, descending=False)
            found = await reads.read(reader.connection, reader.extents, page)
            assert [message.seq for message in found] == [last]
