import pytest

from conduit.core.message import DeadLetter, Progress, Redriven, Retention
from conduit.errors import StoreDataError
from conduit.storage.base import Rule
from conduit.storage.dead_letters import DEAD, DISCARDED, REDRIVEN, DeadFilter, Fate, Loss
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT, letters_count, listed

ALL = DeadFilter()


async def test_a_death_becomes_a_dead_letter_with_its_message(store):
    record = await given.topic(store)
    new = given.message(record.topic_id, bytes(range(256)), key="k\x00ey", headers=b"\xff{}")
    await store.append([given.message(record.topic_id), new])
    await given.subscription(store, "billing")
    died = given.death(record.topic_id, 2, "d1", subscription="billing", died_at_ms=NOW_MS + 9)
    await store.settle([], [died])
    letter = DeadLetter(
        dead_id="d1",
        tenant=TENANT,
        subscription="billing",
        topic="orders",
        topic_id=record.topic_id,
        seq=2,
        message_id=new.message_id,
        attempts=5,
        reason="ack_timeout",
        died_at_ms=NOW_MS + 9,
        redriven_at_ms=None,
        published_at_ms=NOW_MS,
        payload=bytes(range(256)),
        key="k\x00ey",
        headers=b"\xff{}",
    )
    assert await store.dead_list(TENANT, ALL, limit=10) == [letter]
    assert await store.dead_get(TENANT, "d1") == letter
    assert await store.dead_of("billing", record.topic_id, 2) == letter
    assert await letters_count(store, TENANT, ALL) == 1


async def test_what_is_not_there_is_none(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    await store.settle([], [given.death(record.topic_id, 1, "d1")])
    assert await store.dead_get(TENANT, "d2") is None
    assert await store.dead_get("others", "d1") is None
    assert await store.dead_of("billing", record.topic_id, 1) is None
    assert await store.dead_of("", record.topic_id, 2) is None
    assert await store.dead_list("others", ALL, limit=10) == []
    assert await letters_count(store, "others", ALL) == 0


async def test_another_death_of_the_same_delivery_replaces_attempts_reason_and_time(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    await store.settle([], [given.death(record.topic_id, 1, "d1")])
    first = await store.dead_get(TENANT, "d1")
    again = given.death(
        record.topic_id, 1, "d2", attempts=9, reason="rejected", died_at_ms=NOW_MS + 5
    )
    await store.settle([], [again])
    first.attempts, first.reason, first.died_at_ms = 9, "rejected", NOW_MS + 5
    assert await store.dead_list(TENANT, ALL, limit=10) == [first]
    assert await store.dead_get(TENANT, "d2") is None


async def test_another_death_replaces_even_when_the_message_is_no_longer_in_the_log(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 2)
    await store.settle([], [given.death(record.topic_id, 1, "d1")])
    await store.trim(record.topic_id, Rule(Retention(max_messages=0), NOW_MS), 10)
    await store.settle([], [given.death(record.topic_id, 1, "d2", attempts=9)])
    (letter,) = await store.dead_list(TENANT, ALL, limit=10)
    assert (letter.dead_id, letter.attempts, letter.payload) == ("d1", 9, b"0")
    assert await store.dead_losses() == []


async def test_a_death_whose_message_the_log_has_lost_is_a_letter_without_it_and_told(store):
    record = await given.topic(store)
    await given.subscription(store)
    await given.messages(store, record.topic_id, 3)
    await store.trim(record.topic_id, Rule(Retention(max_messages=1), NOW_MS), 10)
    deaths = [
        given.death(record.topic_id, 1, "d1", subscription="billing", reason="rejected"),
        given.death(record.topic_id, 2, "d2"),
        given.death(record.topic_id, 3, "d3"),
    ]
    await store.settle([], deaths)
    found = {letter.dead_id: letter for letter in await store.dead_list(TENANT, ALL, limit=10)}
    assert [found[one].is_lost for one in ("d1", "d2", "d3")] == [True, True, False]
    letter = found["d1"]
    assert (letter.topic, letter.seq, letter.attempts, letter.reason) == (
        "orders",
        1,
        5,
        "rejected",
    )
    assert (letter.message_id, letter.published_at_ms, letter.payload) == ("", 0, b"")
    assert (letter.key, letter.headers) == (None, None)
    assert await store.dead_of("billing", record.topic_id, 1) == letter
    assert await listed(store, q="rejected") == ["d1"]
    losses = sorted(await store.dead_losses(), key=lambda loss: loss.topic)
    assert losses == [
        Loss(TENANT, "billing", "", lost_count=1),
        Loss(TENANT, "", "orders", lost_count=1),
    ]
    assert await store.dead_losses() == []
    await store.settle([], [given.death(record.topic_id, 1, "d4", subscription="billing")])
    assert await store.dead_losses() == []


async def test_one_message_dies_once_for_each_subscription(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    for name in ("a", "b"):
        await given.subscription(store, name)
    deaths = [
        given.death(record.topic_id, 1, f"d{n}", subscription=name)
        for n, name in enumerate(("a", "b", "", ""))
    ]
    await store.settle([], deaths)
    assert await listed(store) == ["d2", "d1", "d0"]


async def test_deaths_of_what_is_gone_are_skipped_and_the_rest_is_stored(store):
    gone, kept = await given.topic(store, "gone"), await given.topic(store, "kept")
    for record in (gone, kept):
        await given.messages(store, record.topic_id, 1)
    await store.topic_delete(gone.topic_id)
    deaths = [
        given.death(gone.topic_id, 1, "d1"),
        given.death(kept.topic_id, 1, "d3", subscription="gone"),
        given.death(kept.topic_id, 1, "d4", tenant="others"),
        given.death(kept.topic_id, 1, "d5"),
    ]
    await store.settle([], deaths)
    assert await listed(store) == ["d5"]
    assert await listed(store, "others") == []


async def test_dead_letters_outlive_their_topic_and_subscription(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    created = await given.subscription(store)
    await store.settle([], [given.death(record.topic_id, 1, "d1", subscription="billing")])
    await store.topic_delete(record.topic_id)
    await store.subscription_delete(created.subscription_id)
    await store.purge(100)
    assert (await store.dead_get(TENANT, "d1")).topic == "orders"


async def test_progress_and_deaths_are_stored_together_or_not_at_all(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    created = await given.subscription(store, seq=1)
    progress = Progress(created.subscription_id, record.topic_id, 2, 3, b"x")
    await store.settle([progress], [given.death(record.topic_id, 2, "d1")])
    assert await store.progress(created.subscription_id) == [progress]
    assert await listed(store) == ["d1"]
    later = Progress(created.subscription_id, record.topic_id, 3, 3)
    of_another = given.death(record.topic_id, 3, "d1")
    with pytest.raises(StoreDataError):
        await store.settle([later], [given.death(record.topic_id, 1, "d2"), of_another])
    assert await store.progress(created.subscription_id) == [progress]
    assert await listed(store) == ["d1"]


async def test_a_redrive_is_marked_until_the_delivery_dies_again(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 2)
    await store.settle([], [given.death(record.topic_id, n, f"d{n}") for n in (1, 2)])
    marks = [Redriven("d1", NOW_MS + 3), Redriven("unknown", NOW_MS + 4)]
    await store.settle([], [], marks)
    marks = {d.dead_id: d.redriven_at_ms for d in await store.dead_list(TENANT, ALL, limit=10)}
    assert marks == {"d1": NOW_MS + 3, "d2": None}
    await store.settle([], [given.death(record.topic_id, 1, "d3")])
    assert (await store.dead_get(TENANT, "d1")).redriven_at_ms is None


async def test_a_redrive_is_marked_after_the_deaths_of_the_same_call(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 1)
    await store.settle([], [given.death(record.topic_id, 1, "d1")])
    again = given.death(record.topic_id, 1, "d2", attempts=9)
    await store.settle([], [again], [Redriven("d1", NOW_MS + 3)])
    letter = await store.dead_get(TENANT, "d1")
    assert (letter.attempts, letter.redriven_at_ms) == (9, NOW_MS + 3)


async def test_of_a_subscription_that_somebody_has_claimed_no_redrive_is_marked(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 2)
    created, other = await given.subscription(store), await given.subscription(store, "other")
    fence = await store.subscription_claim(created.subscription_id)
    await store.settle([], [given.death(record.topic_id, n, f"d{n}") for n in (1, 2)])
    await store.subscription_claim(created.subscription_id)
    rows = [
        Progress(created.subscription_id, record.topic_id, 1, 1, b"x", fence),
        Progress(other.subscription_id, record.topic_id, 1, 1, b"x"),
    ]
    marks = [
        Redriven("d1", NOW_MS, created.subscription_id),
        Redriven("d2", NOW_MS, other.subscription_id),
    ]
    assert await store.settle(rows, [], marks) == {created.subscription_id}
    marked = {d.dead_id: d.redriven_at_ms for d in await store.dead_list(TENANT, ALL, limit=10)}
    assert marked == {"d1": None, "d2": NOW_MS}


async def test_of_a_letter_that_is_discarded_while_it_is_redriven_the_new_delivery_counts(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    created = await given.subscription(store)
    name = created.name
    deaths = [given.death(record.topic_id, n, f"d{n}", subscription=name) for n in (1, 2, 3)]
    await store.settle([], deaths)
    assert await store.dead_delete(TENANT, ["d1", "d2", "d3"]) == 3
    marks = [
        Redriven(f"d{n}", NOW_MS, created.subscription_id, name, record.topic_id, n) for n in (1, 2)
    ]
    await store.settle([], [], marks)
    fates = [await given.fate(store, name, record.topic_id, n) for n in (1, 2, 3)]
    assert fates == [None, None, "discarded"]


async def test_what_became_of_a_message_everywhere_is_one_question(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 2)
    names = ["dead", "redriven", "gone", "fine", "other"]
    for name in names:
        await given.subscription(store, name)
    deaths = [given.death(record.topic_id, 1, name, subscription=name) for name in names[:3]]
    other = given.death(record.topic_id, 2, "other", subscription="other")
    await store.settle([], [*deaths, other], [Redriven("redriven", NOW_MS + 5)])
    await store.dead_delete(TENANT, ["gone"])
    assert await store.dead_fates(record.topic_id, 1, names) == {
        "dead": Fate(DEAD, 5, "ack_timeout", NOW_MS),
        "redriven": Fate(REDRIVEN, 5, "ack_timeout", NOW_MS, NOW_MS + 5),
        "gone": Fate(DISCARDED),
    }
    assert await store.dead_fates(record.topic_id, 1, ["fine", "gone"]) == {"gone": Fate(DISCARDED)}
    assert await store.dead_fates(record.topic_id + 1, 1, names) == {}
    assert await store.dead_fates(record.topic_id, 1, []) == {}


async def test_discarding_says_how_many_existed(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 3)
    await store.settle([], [given.death(record.topic_id, n, f"d{n}") for n in (1, 2, 3)])
    assert await store.dead_delete("others", ["d1", "d2"]) == 0
    assert await store.dead_delete(TENANT, ["d1", "d3", "d9", "d1"]) == 2
    assert await store.dead_delete(TENANT, []) == 0
    assert await listed(store) == ["d2"]
    await store.settle([], [given.death(record.topic_id, 1, "d4")])
    assert await listed(store) == ["d4", "d2"]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({}, "76543210"),
        ({"topic": "refunds"}, "765"),
        ({"topic": "refund"}, ""),
        ({"subscription": "billing"}, "7531"),
        ({"subscription": ""}, "6420"),
        ({"reason": "ack_timeout"}, "7654210"),
        ({"from_ms": NOW_MS + 3000}, "76543"),
        ({"to_ms": NOW_MS + 3000}, "210"),
        ({"from_ms": NOW_MS + 2000, "to_ms": NOW_MS + 4000}, "32"),
        ({"topic": "orders", "subscription": "billing", "reason": "ack_timeout"}, "1"),
        ({"q": "ä4"}, "4"),
        ({"q": "user-1"}, "7531"),
        ({"q": "User-1"}, ""),
        ({"q": "100% [no] _card"}, "3"),
        ({"q": "%"}, "3"),
        ({"q": ""}, "76543210"),
        ({"q": "user-0", "topic": "refunds"}, "6"),
    ],
)
async def test_filters_restrict_the_list_and_the_count(store, graveyard, which, expected):
    assert await listed(store, **which) == [f"d{n}" for n in expected]
    assert await letters_count(store, TENANT, DeadFilter(**which)) == len(expected)


async def test_a_dead_letter_is_found_by_a_part_of_its_message_id(store, graveyard):
    letter = await store.dead_get(TENANT, "d2")
    assert await listed(store, q=letter.message_id) == ["d2"]
    assert "d2" in await listed(store, q=letter.message_id[14:30])


async def test_pages_follow_each_other_without_gap_or_overlap(store, graveyard):
    pages, before = [], None
    while page := await listed(store, limit=3, before_id=before):
        pages.append(page)
        before = page[-1]
    assert pages == [["d7", "d6", "d5"], ["d4", "d3", "d2"], ["d1", "d0"]]
    assert await listed(store, limit=2, before_id="d5", subscription="billing") == ["d3", "d1"]


@pytest.mark.parametrize("is_redriven", [False, True])
async def test_redriven_ones_are_told_apart(store, graveyard, is_redriven):
    await store.settle([], [], [Redriven(f"d{n}", NOW_MS) for n in (1, 2, 5)])
    expected = ["d5", "d2", "d1"] if is_redriven else ["d7", "d6", "d4", "d3", "d0"]
    assert await listed(store, is_redriven=is_redriven) == expected
    assert await letters_count(store, TENANT, DeadFilter(is_redriven=is_redriven)) == len(expected)


async def test_places_are_pages_as_letters_are(store, graveyard):
    letters = await store.dead_list(TENANT, ALL, limit=3, before_id="d6")
    places = await store.dead_places(TENANT, ALL, limit=3, before_id="d6")
    assert places == [letter.place for letter in letters]
    assert [place.dead_id for place in places] == ["d5", "d4", "d3"]


async def test_many_deaths_are_one_call(store):
    record = await given.topic(store)
    await given.messages(store, record.topic_id, 600)
    await store.settle([], [given.death(record.topic_id, n, f"d{n:04}") for n in range(1, 601)])
    assert await letters_count(store, TENANT, ALL) == 600
