"""Dead letters by topic and reason: what one call counts, in every store."""

from __future__ import annotations

import pytest

from conduit.core.message import Redriven
from conduit.storage.dead_letters import LOOK_MAX_COUNT, DeadFilter, DeadGroup
from tests.storage import given
from tests.storage.given import NOW_MS, TENANT

TIMEOUT, CARD = "ack_timeout", "rejected: 100% [no] _card"


async def groups(store, before_id=None, tenant=TENANT, **which) -> list[DeadGroup]:
    found = await store.dead_groups(tenant, DeadFilter(**which), before_id=before_id)
    assert found.reached_id is None
    return sorted(found, key=lambda group: group.newest_id)


def group(topic, reason, ns, redriven_count=0):
    """Of the letters with these numbers in the graveyard."""
    first, last = NOW_MS + 1000 * min(ns), NOW_MS + 1000 * max(ns)
    return DeadGroup(topic, reason, len(ns), redriven_count, first, last, f"d{max(ns)}")


async def test_letters_are_counted_by_topic_and_reason(store, graveyard):
    assert await groups(store) == [
        group("orders", CARD, [3]),
        group("orders", TIMEOUT, [0, 1, 2, 4]),
        group("refunds", TIMEOUT, [5, 6, 7]),
    ]
    assert await groups(store, tenant="other") == []


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({"topic": "refunds"}, [("refunds", TIMEOUT, [5, 6, 7])]),
        ({"reason": CARD}, [("orders", CARD, [3])]),
        ({"subscription": "", "topic": "orders"}, [("orders", TIMEOUT, [0, 2, 4])]),
        (
            {"subscription": "billing"},
            [("orders", TIMEOUT, [1]), ("orders", CARD, [3]), ("refunds", TIMEOUT, [5, 7])],
        ),
        ({"patterns": ("other.>", "refunds")}, [("refunds", TIMEOUT, [5, 6, 7])]),
        ({"patterns": ("*",), "reason": CARD}, [("orders", CARD, [3])]),
        ({"patterns": ("refunds.>",)}, []),
        ({"from_ms": NOW_MS + 6000}, [("refunds", TIMEOUT, [6, 7])]),
        ({"q": "user-1", "topic": "orders"}, [("orders", TIMEOUT, [1]), ("orders", CARD, [3])]),
        ({"q": "nothing like it"}, []),
    ],
)
async def test_the_filters_are_those_of_a_list(store, graveyard, which, found):
    assert await groups(store, **which) == [group(*each) for each in found]


async def test_those_that_were_redriven_are_counted_apart(store, graveyard):
    await store.settle([], [], [Redriven("d5", NOW_MS)])
    assert await groups(store, topic="refunds") == [group("refunds", TIMEOUT, [5, 6, 7], 1)]
    assert await groups(store, topic="refunds", is_redriven=True) == [
        group("refunds", TIMEOUT, [5], 1)
    ]


async def test_one_call_counts_so_many_and_says_how_far_it_came(store):
    record = await given.topic(store)
    count = LOOK_MAX_COUNT + 10
    seqs = await store.append([given.message(record.topic_id)] * count)
    deaths = [given.death(record.topic_id, seq, f"d{n:04}") for n, seq in enumerate(seqs)]
    await store.settle([], deaths)
    found = await store.dead_groups(TENANT, DeadFilter())
    assert ([each.count for each in found], found.reached_id) == ([LOOK_MAX_COUNT], "d0010")
    found = await store.dead_groups(TENANT, DeadFilter(), before_id="d0010")
    assert ([each.count for each in found], found.reached_id) == ([10], None)
