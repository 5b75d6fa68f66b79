"""How many dead letters are kept, which go first, and what is remembered and told of those that went."""

import pytest

from conduit.core.message import Redriven, Retention
from conduit.errors import ConduitError
from conduit.storage import dead
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DeadBounds, DeadFilter, DeadTally, Loss
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT, letters_count, listed

ALL = DeadFilter()


def bounds(**more) -> DeadBounds:
    return DeadBounds(**{"max_count": 100, "ephemeral_max_count": 100, **more})


async def tally(store, subscription: str = "billing") -> tuple[int, int]:
    return (await store.dead_tally(TENANT, subscription))[:2]


async def trimmed(store, before_ms: int = 0, limit: int = 100, **more) -> int:
    return await store.dead_trim(before_ms, bounds(**more), limit)


async def test_old_dead_letters_are_trimmed_in_slices_from_the_oldest(store, graveyard):
    assert [await trimmed(store, NOW_MS + 5000, 3) for _ in range(3)] == [3, 2, 0]
    assert await listed(store) == ["d7", "d6", "d5"]


async def test_too_many_are_trimmed_in_slices_from_the_oldest_of_each_subscription(
    store, graveyard
):
    assert [await trimmed(store, limit=1, max_count=2) for _ in range(3)] == [1, 1, 0]
    assert await listed(store, subscription="billing") == ["d7", "d5"]
    assert len(await listed(store, subscription="")) == 4


async def test_ephemeral_ones_push_out_those_of_their_topic_and_nobody_elses(store, graveyard):
    assert await trimmed(store, ephemeral_max_count=1) == 2
    assert await listed(store) == ["d7", "d6", "d5", "d4", "d3", "d1"]


async def test_too_many_bytes_are_trimmed_from_the_oldest(store, graveyard):
    size_bytes = (await store.dead_tally(TENANT, "billing")).size_bytes
    assert size_bytes == 4 * (len(b'{"n":"\xc3\xa41"}') + len("user-1"))
    assert await trimmed(store, max_bytes=size_bytes) == 0
    assert await trimmed(store, max_bytes=size_bytes - 1) == 1
    assert await listed(store, subscription="billing") == ["d7", "d5", "d3"]
    assert await trimmed(store, ephemeral_max_bytes=1) == 4


async def test_redriven_ones_go_first(store, graveyard):
    await store.settle([], [], [Redriven(dead_id, NOW_MS) for dead_id in ("d3", "d5")])
    assert await trimmed(store, max_count=3) == 1
    assert await listed(store, subscription="billing") == ["d7", "d5", "d1"]
    assert await trimmed(store, max_count=1) == 2
    assert await listed(store, subscription="billing") == ["d7"]


async def test_a_redriven_one_that_is_all_that_is_left_of_its_message_goes_with_the_others(
    store, graveyard
):
    await store.settle([], [], [Redriven(dead_id, NOW_MS) for dead_id in ("d3", "d5")])
    letter = await store.dead_get(TENANT, "d3")
    await store.trim(letter.topic_id, Rule(Retention(), NOW_MS, letter.seq), 100)
    assert await trimmed(store, max_count=3) == 1
    assert await listed(store, subscription="billing") == ["d7", "d3", "d1"]
    assert await trimmed(store, max_count=1) == 2
    assert await listed(store, subscription="billing") == ["d7"]


SQLITE_REFUSES = """
CREATE TRIGGER refuses BEFORE DELETE ON dead_letters WHEN old.dead_id = 'd7'
BEGIN SELECT RAISE(ABORT, 'refused'); END
"""
POSTGRES_REFUSES = """
CREATE FUNCTION conduit.refuses() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN RAISE EXCEPTION ''refused''; END';
CREATE TRIGGER refuses BEFORE DELETE ON conduit.dead_letters
FOR EACH ROW WHEN (old.dead_id = 'd7') EXECUTE FUNCTION conduit.refuses()
"""


async def test_what_was_dropped_before_a_slice_fails_is_told(store, graveyard):
    if store.kind == "memory":
        pytest.skip("nothing can fail there")
    if store.kind == "sqlite":
        await store._db.writer.call(lambda connection: connection.execute(SQLITE_REFUSES))
    else:
        await store._home.database.ask(lambda connection: connection.execute(POSTGRES_REFUSES))
    before = await letters_count(store, TENANT, ALL)
    with pytest.raises(ConduitError):
        await trimmed(store, NOW_MS + 2000, max_count=0)
    gone_count = before - await letters_count(store, TENANT, ALL)
    assert gone_count > 0
    assert sum(loss.dropped_count for loss in await store.dead_losses()) == gone_count


async def test_in_every_shard_a_redriven_one_that_is_all_that_is_left_of_its_message_stays(store):
    topics = [await given.topic(store, f"t{n}") for n in range(12)]
    records = {record.topic_id % 64 if store.shards else 0: record for record in topics}
    assert len(records) == max(1, len(store.shards))
    for number, record in records.items():
        name = f"s{number}"
        await given.subscription(store, name, record.name)
        await given.messages(store, record.topic_id, 9)
        ids = {seq: f"{name}-{seq}" for seq in range(1, 9)}
        dead = [given.death(record.topic_id, n, ids[n], subscription=name) for n in ids]
        await store.settle([], dead)
        await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 100)
        await store.settle([], [], [Redriven(ids[n], NOW_MS) for n in range(5, 9)])
    assert await trimmed(store, max_count=6) == 2 * len(records)
    for number in records:
        kept = await listed(store, subscription=f"s{number}")
        assert kept == [f"s{number}-{seq}" for seq in range(8, 2, -1)]


async def test_the_age_of_a_redriven_one_counts_from_its_redrive(store, graveyard):
    await store.settle([], [], [Redriven("d1", NOW_MS + 6500)])
    assert await trimmed(store, NOW_MS + 5000) == 4
    assert await listed(store) == ["d7", "d6", "d5", "d1"]
    assert await trimmed(store, NOW_MS + 6501) == 3
    assert await listed(store) == ["d7"]


async def test_one_that_died_again_is_as_old_as_its_last_death(store, graveyard):
    await store.settle([], [], [Redriven("d1", NOW_MS + 100_000)])
    letter = await store.dead_get(TENANT, "d1")
    again = given.death(
        letter.topic_id, letter.seq, "d9", subscription="billing", died_at_ms=NOW_MS + 6500
    )
    await store.settle([], [again])
    assert await trimmed(store, NOW_MS + 6501) == 7
    assert await listed(store) == ["d7"]


async def test_age_and_count_share_one_slice(store, graveyard):
    assert await trimmed(store, NOW_MS + 2000, 3, max_count=1) == 3
    assert await listed(store, subscription="billing") == ["d7", "d5"]


async def test_the_bound_on_dead_letters_is_each_tenants_own(store, graveyard):
    record = await given.topic(store, "orders", "others")
    await given.subscription(store, tenant="others")
    await given.messages(store, record.topic_id, 3)
    deaths = [
        given.death(record.topic_id, n, f"e{n}", tenant="others", subscription="billing")
        for n in (1, 2, 3)
    ]
    await store.settle([], deaths)
    assert await trimmed(store, max_count=3) == 1
    assert await listed(store, subscription="billing") == ["d7", "d5", "d3"]
    assert await listed(store, "others") == ["e3", "e2", "e1"]


async def test_letters_are_counted_as_they_come_go_and_are_redriven(store, graveyard):
    assert await tally(store) == (4, 0)
    await store.settle([], [], [Redriven("d1", NOW_MS), Redriven("d3", NOW_MS)])
    await store.settle([], [], [Redriven("d1", NOW_MS + 1)])
    assert await tally(store) == (2, 2)
    letter = await store.dead_get(TENANT, "d1")
    again = given.death(letter.topic_id, letter.seq, "d9", subscription="billing")
    await store.settle([], [again])
    assert await tally(store) == (3, 1)
    await store.dead_delete(TENANT, ["d7", "d3"])
    assert await tally(store) == (2, 0)
    assert await trimmed(store, max_count=2) == 0
    assert await trimmed(store, NOW_MS + 100_000) == 6
    assert await store.dead_tally(TENANT, "billing") == DeadTally(0, 0, 0)


async def test_those_of_several_subscriptions_are_counted_at_once(store, graveyard):
    names = ["billing", "others", "never-had-any", 'it\'s "quoted"']
    none = DeadTally(0, 0, 0)
    found = await store.dead_tallies(TENANT, names)
    for name in names:
        assert found.get(name, none) == await store.dead_tally(TENANT, name)
    assert found["billing"].open_count == 4
    assert not any(any(each) for each in (await store.dead_tallies("other", names)).values())
    assert await store.dead_tallies(TENANT, []) == {}


async def test_what_is_dropped_is_told_by_what_shared_the_bound(store, graveyard):
    await trimmed(store, max_count=1, ephemeral_max_count=2)
    losses = sorted(await store.dead_losses(), key=lambda loss: loss.topic)
    assert losses == [
        Loss(TENANT, "billing", "", dropped_count=3),
        Loss(TENANT, "", "orders", dropped_count=1),
    ]
    assert await store.dead_losses() == []


async def test_what_became_of_letters_that_are_gone_is_remembered(store, graveyard):
    places = {place.dead_id: place for place in await store.dead_places(TENANT, ALL, limit=10)}

    async def fate(dead_id: str) -> str | None:
        place = places[dead_id]
        return await given.fate(store, place.subscription, place.topic_id, place.seq)

    await store.settle([], [], [Redriven("d3", NOW_MS)])
    await store.dead_delete(TENANT, ["d7", "d6"])
    await trimmed(store, max_count=1)
    assert await listed(store, subscription="billing") == ["d5"]
    fates = {dead_id: await fate(dead_id) for dead_id in ("d7", "d6", "d5", "d3", "d1")}
    assert fates == {
        "d7": "discarded",
        "d6": None,  # nobody asks for ephemeral ones
        "d5": None,
        "d3": None,  # redriven: it is what became of its delivery since
        "d1": "dropped",
    }
    place = places["d7"]
    await store.settle([], [given.death(place.topic_id, place.seq, "d9", subscription="billing")])
    assert await fate("d7") is None
    assert await trimmed(store, NOW_MS + 6000) == 5
    assert [await fate("d7"), await fate("d5")] == ["dropped", "dropped"]  # for their age
    await store.topic_delete(places["d1"].topic_id)
    assert await fate("d1") is None


async def test_of_a_topic_so_many_are_remembered_and_the_rest_is_forgotten(store, monkeypatch):
    for module in _users_of("GONE_MAX_COUNT"):
        monkeypatch.setattr(module, "GONE_MAX_COUNT", 8)
    record = await given.topic(store)
    await given.subscription(store)
    await given.messages(store, record.topic_id, 30)
    deaths = [
        given.death(record.topic_id, n, f"d{n:02}", subscription="billing") for n in range(1, 31)
    ]
    await store.settle([], deaths)
    for n in range(1, 29):
        await store.dead_delete(TENANT, [f"d{n:02}"])
    fates = [await given.fate(store, "billing", record.topic_id, n) for n in range(1, 31)]
    discarded_count = fates.count("discarded")
    assert 8 <= discarded_count <= 9
    expected = ["forgotten"] * (28 - discarded_count) + ["discarded"] * discarded_count
    assert fates == [*expected, None, None]


def _users_of(name: str) -> list[object]:
    from conduit.storage.memory import gone
    from conduit.storage.postgres import dead_removal as postgres
    from conduit.storage.sqlite import dead_removal as sqlite

    return [one for one in (dead, gone, postgres, sqlite) if hasattr(one, name)]


async def other_tenant(store, *seqs: int) -> None:
    """Dead letters of another tenant, which are older than all of the graveyard."""
    record = await given.topic(store, "theirs", "other")
    await given.messages(store, record.topic_id, max(seqs))
    deaths = [
        given.death(record.topic_id, seq, f"c{seq}", tenant="other", subscription="")
        for seq in seqs
    ]
    await store.settle([], deaths)


async def test_of_a_tenant_that_has_too_many_the_oldest_go_whoever_has_them(store, graveyard):
    await other_tenant(store, 1, 2, 3)
    count = await letters_count(store, TENANT, ALL)
    tally = await store.dead_tally(TENANT, None)
    assert (tally.open_count, tally.redriven_count) == (count, 0)
    assert tally.size_bytes > 0
    await store.settle([], [], [Redriven("d7", NOW_MS)])
    assert (await store.dead_tally(TENANT, None))[:2] == (count - 1, 1)
    assert await trimmed(store, tenant_max_count=count) == 0
    assert [await trimmed(store, limit=2, tenants={TENANT: count - 3}) for _ in range(3)] == [
        2,
        1,
        0,
    ]
    assert await listed(store) == ["d7", "d6", "d5", "d4", "d3"]
    assert (await store.dead_tally("other", None)).open_count == 3


async def test_a_tenant_s_own_bound_goes_before_that_of_all(store, graveyard):
    await other_tenant(store, 1, 2, 3)
    count = await letters_count(store, TENANT, ALL)
    assert await trimmed(store, tenant_max_count=1, tenants={TENANT: count}) == 2
    assert (await store.dead_tally("other", None)).open_count == 1
    assert await letters_count(store, TENANT, ALL) == count
    assert await trimmed(store, tenants={"other": 0}) == 1
    assert await store.dead_tally("other", None) == DeadTally(0, 0, 0)
    assert await store.dead_tally("nobody", None) == DeadTally(0, 0, 0)


async def test_tenants_are_told_with_what_each_has_those_with_the_most_first(store, graveyard):
    assert (await store.dead_tenants(9))[1:] == (1, 8)
    await other_tenant(store, *range(1, 10))
    assert await store.dead_tenants(9) == ([("other", 9), (TENANT, 8)], 2, 17)
    assert await store.dead_tenants(1) == ([("other", 9)], 2, 17)
    # What was redriven is not open, and who has nothing else is not told.
    await store.settle([], [], [Redriven(f"c{seq}", NOW_MS) for seq in range(1, 10)])
    assert await store.dead_tenants(9) == ([(TENANT, 8)], 1, 8)
    await trimmed(store, NOW_MS + 100_000)
    assert await store.dead_tenants(9) == ([], 0, 0)


async def test_what_a_tenant_had_too_many_of_is_told_and_remembered_as_dropped(store, graveyard):
    letter = await store.dead_get(TENANT, "d1")
    await store.dead_losses()
    await trimmed(store, tenants={TENANT: 1})
    losses = await store.dead_losses()
    assert sum(loss.dropped_count for loss in losses) == 7
    assert {loss.tenant for loss in losses} == {TENANT}
    assert await given.fate(store, "billing", letter.topic_id, letter.seq) == "dropped"
