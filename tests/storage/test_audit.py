"""The audit log: found by time, tenant, actor and action, and forgotten by time."""

import pytest
import uuid_utils

from conduit.core.access import AuditEntry
from tests.storage.given import NOW_MS


def entry(at_ms: int = NOW_MS, **more) -> AuditEntry:
    values = {"tenant": "acme", "actor": "key:Ab3dEf6h", "action": "topic.delete"}
    values |= {"target": "orders.ü", "address": "::1", "request_id": "r1"}
    return AuditEntry(entry_id=str(uuid_utils.uuid7()), at_ms=at_ms, **{**values, **more})


async def page(store, tenant: str | None = None, limit: int = 100, **which) -> list[AuditEntry]:
    return await store.audit_page(tenant, limit=limit, **which)


@pytest.fixture
async def entries(store) -> list[AuditEntry]:
    """Twelve, a millisecond apart, of two tenants and of none, of three actors and four actions."""
    made = [
        entry(
            NOW_MS + n,
            tenant=("acme", "other", "")[n % 3],
            actor=f"key:{n % 3}",
            action=f"action.{n % 4}",
            detail=f'{{"n":{n}}}',
        )
        for n in range(12)
    ]
    await store.audit_add(made[6:])
    await store.audit_add(made[:6])
    return made


async def test_entries_come_back_as_they_were_added_newest_first(store, entries):
    assert await page(store) == entries[::-1]
    assert await page(store, "acme") == entries[::3][::-1]
    assert await page(store, "") == entries[2::3][::-1]
    assert await page(store, "nobody") == []


async def test_an_entry_that_is_there_stays(store, entries):
    await store.audit_add([])
    await store.audit_add([*entries[:2], entry(NOW_MS + 50)])
    assert (await page(store))[1:] == entries[::-1]


async def test_they_are_found_by_time_actor_and_action(store, entries):
    assert await page(store, from_ms=NOW_MS + 3, to_ms=NOW_MS + 6) == entries[3:6][::-1]
    assert await page(store, "other", from_ms=NOW_MS + 2) == [entries[n] for n in (10, 7, 4)]
    assert await page(store, actor="key:1") == entries[1::3][::-1]
    assert await page(store, actor="key:1", action="action.2") == [entries[10]]
    assert await page(store, "acme", action="action.1") == [entries[9]]
    assert await page(store, "acme", actor="key:1") == []


async def test_pages_follow_each_other(store, entries):
    seen, before_id = [], None
    while True:
        found = await store.audit_page("acme", before_id=before_id, limit=3)
        seen += found
        before_id = found.reached_id
        if before_id is None:
            break
    assert seen == entries[::3][::-1]
    # In the order of the ids, where times are the same.
    same = sorted((entry(NOW_MS + 99) for _ in range(5)), key=lambda one: one.entry_id)
    await store.audit_add(same[::-1])
    first = await store.audit_page(None, limit=2)
    second = await store.audit_page(None, limit=4, before_id=first.reached_id)
    assert [*first, *second] == [*same[::-1], entries[-1]]


async def test_nothing_is_before_an_entry_of_another_tenant_or_of_nobody(store, entries):
    for before_id in (entries[10].entry_id, "nothing"):
        found = await store.audit_page("acme", before_id=before_id, limit=5)
        assert (found, found.reached_id) == ([], None)


async def test_one_call_looks_at_so_many_and_says_how_far_it_came(store, entries, monkeypatch):
    monkeypatch.setattr("conduit.storage.access.AUDIT_LOOK_MAX_COUNT", 5)
    found = await store.audit_page(None, action="action.2", limit=5)
    assert (found, found.reached_id) == ([entries[10]], entries[7].entry_id)
    found = await store.audit_page(None, action="action.2", limit=5, before_id=found.reached_id)
    assert (found, found.reached_id) == ([entries[6], entries[2]], entries[2].entry_id)
    found = await store.audit_page(None, action="action.2", limit=5, before_id=found.reached_id)
    assert (found, found.reached_id) == ([], None)
    # What it is not looked for in is not counted.
    assert len(await store.audit_page(None, limit=9)) == 9


async def test_the_oldest_are_forgotten_in_slices(store, entries):
    assert await store.audit_trim(NOW_MS, 10) == 0
    assert await store.audit_trim(NOW_MS + 5, 3) == 3
    assert await page(store) == entries[3:][::-1]
    assert await store.audit_trim(NOW_MS + 5, 3) == 2
    assert await store.audit_trim(NOW_MS + 5, 3) == 0
    assert await page(store, "acme") == [entries[9], entries[6]]
