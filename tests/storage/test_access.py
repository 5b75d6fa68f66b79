"""Tenants and keys: what is there, who changed what first, what is forgotten."""

import asyncio
import re

import pytest
from msgspec.structs import replace

from conduit.core.access import KeyRecord, TenantRecord
from conduit.errors import Conflict, LimitReached, NotFound
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.storage import access
from conduit.storage.access import ROWS_MAX_COUNT
from conduit.storage.sqlite import SqliteStore, audit
from conduit.storage.sqlite import tenants as tenants_sql
from conduit.storage.sqlite.bulk import rows
from tests.storage import given
from tests.storage.given import NOW_MS

LIMITS = TenantLimits(publishes_per_s=100, topics=7)
GRANTS = (Grant(scope="publish", topics=("orders.>",)), Grant(scope="admin"))


def tenant(name: str = "acme", **more) -> TenantRecord:
    return TenantRecord(name=name, created_at_ms=NOW_MS, **more)


def key(key_id: str = "Ab3dEf6h", of: str = "default", **more) -> KeyRecord:
    values = {"name": "käse", "grants": GRANTS, "secret_hash": b"\x00\xff" * 16}
    values |= {"created_at_ms": NOW_MS, "created_by": "server"}
    return KeyRecord(key_id=key_id, tenant=of, **{**values, **more})


async def tenants(store) -> dict[str, TenantRecord]:
    return {record.name: record for record in (await store.access_since(0)).tenants}


async def keys(store) -> dict[str, KeyRecord]:
    return {record.key_id: record for record in (await store.access_since(0)).keys}


async def test_the_default_tenant_is_there_from_the_start(store):
    changes = await store.access_since(0)
    assert [record.name for record in changes.tenants] == ["default"]
    assert changes.keys == []
    assert (await store.access_since(changes.revision)) == access.AccessChanges(
        changes.revision, [], []
    )


async def test_a_tenant_is_created_once_and_changed(store):
    await store.tenant_create(tenant(limits=LIMITS))
    assert (await tenants(store))["acme"] == tenant(limits=LIMITS)
    with pytest.raises(Conflict) as error:
        await store.tenant_create(tenant())
    assert error.value.code == "tenant_exists"
    await store.tenant_update("acme", TenantLimits(stored_bytes=1 << 53))
    assert (await tenants(store))["acme"].limits == TenantLimits(stored_bytes=1 << 53)


async def test_what_is_asked_of_a_tenant_that_is_not_there_is_not_found(store):
    calls = [
        store.tenant_update("acme", LIMITS),
        store.tenant_delete("acme", NOW_MS),
        store.key_put(key(of="acme"), 0),
    ]
    for call in calls:
        with pytest.raises(NotFound) as error:
            await call
        assert error.value.code == "tenant_not_found"


async def test_only_what_changed_since_a_revision_is_told(store):
    await store.tenant_create(tenant("a"))
    put = await store.key_put(key("k1"), 0)
    before = await store.access_since(0)
    assert before.revision == put.revision
    await store.tenant_create(tenant("b"))
    await store.key_put(key("k2"), 0)
    await store.tenant_update("a", LIMITS)
    changes = await store.access_since(before.revision)
    assert sorted(record.name for record in changes.tenants) == ["a", "b"]
    assert [record.key_id for record in changes.keys] == ["k2"]
    assert changes.revision > before.revision
    assert (await store.access_since(changes.revision)).tenants == []


async def test_a_store_that_has_lost_changes_tells_all(store):
    await store.key_put(key(), 0)
    changes = await store.access_since(1_000_000)
    assert changes.revision < 1_000_000
    assert (len(changes.tenants), len(changes.keys)) == (1, 1)


async def test_more_keys_than_one_statement_returns_are_told_also_those_of_one_revision(store):
    await store.tenant_create(tenant())
    ids = [f"k{n}" for n in range(ROWS_MAX_COUNT + 5)]
    for key_id in ids:
        await store.key_put(key(key_id, "acme"), 0)
    assert sorted(await keys(store)) == sorted(ids)
    await store.tenant_delete("acme", NOW_MS + 1)
    after = (await store.access_since(0)).keys
    assert sorted(record.key_id for record in after) == sorted(ids)
    assert len({record.revision for record in after}) == 1
    assert {record.revoked_at_ms for record in after} == {NOW_MS + 1}


async def test_a_key_comes_back_as_it_was_put(store):
    whole = key(
        limits=TenantLimits(connections=3),
        expires_at_ms=NOW_MS + 9,
        former_hash=b"former",
        former_until_ms=NOW_MS + 5,
        revoked_at_ms=NOW_MS + 7,
        # Not what it says.
        last_used_at_ms=NOW_MS,
    )
    put = await store.key_put(whole, 0)
    assert put == replace(whole, revision=put.revision, last_used_at_ms=None)
    assert put.revision > 0
    assert await keys(store) == {whole.key_id: put}


async def test_a_key_is_stored_if_it_is_what_was_seen(store):
    with pytest.raises(Conflict) as error:
        await store.key_put(key(), 3)
    assert error.value.code == "conflict"
    first = await store.key_put(key(), 0)
    with pytest.raises(Conflict):
        await store.key_put(key(), 0)
    second = await store.key_put(replace(first, name="other", revision=77), first.revision)
    assert second.revision > first.revision
    with pytest.raises(Conflict):
        await store.key_put(replace(first, name="late"), first.revision)
    assert await keys(store) == {second.key_id: second}


async def test_a_key_never_moves_to_another_tenant(store):
    await store.tenant_create(tenant())
    put = await store.key_put(key(), 0)
    for expected in (put.revision, 0):
        with pytest.raises(Conflict):
            await store.key_put(key(of="acme"), expected)
    assert await keys(store) == {put.key_id: put}


async def test_of_changes_at_once_one_is_first(store):
    first = await store.key_put(key(), 0)
    calls = [store.key_put(replace(first, name=f"n{n}"), first.revision) for n in range(8)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    [winner] = [one for one in ended if isinstance(one, KeyRecord)]
    assert sum(isinstance(one, Conflict) for one in ended) == 7
    assert await keys(store) == {winner.key_id: winner}


async def test_when_a_key_was_used_only_grows_and_is_no_change(store):
    put = await store.key_put(key(), 0)
    other = await store.key_put(key("other"), 0)
    await store.keys_used({put.key_id: NOW_MS + 5, "unknown": NOW_MS})
    await store.keys_used({put.key_id: NOW_MS + 3, other.key_id: NOW_MS + 4})
    await store.keys_used({})
    assert (await store.access_since(other.revision)).keys == []
    used = await keys(store)
    assert used[put.key_id] == replace(put, last_used_at_ms=NOW_MS + 5)
    assert used[other.key_id].last_used_at_ms == NOW_MS + 4
    # A change leaves it.
    changed = await store.key_put(replace(put, name="new", last_used_at_ms=1), put.revision)
    assert changed.last_used_at_ms == NOW_MS + 5
    assert (await keys(store))[put.key_id] == changed


async def test_a_tenant_with_a_topic_or_a_subscription_stays(store):
    await store.tenant_create(tenant())
    before = await store.access_since(0)
    topic = await given.topic(store, "orders", "acme")
    with pytest.raises(Conflict) as error:
        await store.tenant_delete("acme", NOW_MS)
    assert error.value.code == "tenant_not_empty"
    await store.topic_delete(topic.topic_id)
    subscription = await given.subscription(store, tenant="acme")
    with pytest.raises(Conflict):
        await store.tenant_delete("acme", NOW_MS)
    assert await store.access_since(before.revision) == access.AccessChanges(
        before.revision, [], []
    )
    await store.subscription_delete(subscription.subscription_id)
    await store.tenant_delete("acme", NOW_MS)


async def test_a_deleted_tenant_is_told_and_takes_nothing(store):
    await store.tenant_create(tenant(limits=LIMITS))
    live = await store.key_put(key("live", "acme"), 0)
    gone = await store.key_put(key("gone", "acme", revoked_at_ms=NOW_MS - 5), 0)
    kept = await store.key_put(key("kept"), 0)
    await store.tenant_delete("acme", NOW_MS + 1)
    changes = await store.access_since(kept.revision)
    assert changes.tenants == [tenant(limits=LIMITS, deleted_at_ms=NOW_MS + 1)]
    assert changes.keys == [replace(live, revoked_at_ms=NOW_MS + 1, revision=changes.revision)]
    assert (await keys(store))["gone"] == gone
    calls = [
        given.topic(store, "orders", "acme"),
        store.topics_create("acme", ["a", "b"], given.KEEP_ALL, NOW_MS),
        given.subscription(store, tenant="acme"),
        store.key_put(live, changes.revision),
        store.tenant_update("acme", LIMITS),
        store.tenant_delete("acme", NOW_MS + 2),
    ]
    for call in calls:
        with pytest.raises(NotFound) as error:
            await call
        assert error.value.code == "tenant_not_found"
    assert await store.topics() == []
    assert await store.subscriptions() == []


async def test_a_tenant_that_is_made_anew_has_nothing_of_the_one_before(store):
    await store.tenant_create(tenant())
    topic = await given.topic(store, "orders", "acme")
    other = await given.topic(store, "orders", "other")
    count = ROWS_MAX_COUNT + 3
    deaths = [given.death(topic.topic_id, n + 1, f"d{n}", tenant="acme") for n in range(count)]
    await store.settle([], [*deaths, given.death(other.topic_id, 1, "e", tenant="other")])
    assert len(await given.listed(store, "acme", 2_000)) > 0
    await store.topic_delete(topic.topic_id)
    await store.tenant_delete("acme", NOW_MS)
    assert await given.listed(store, "acme") == []
    assert await given.listed(store, "other") == ["e"]
    await store.tenant_create(tenant(limits=LIMITS))
    assert (await tenants(store))["acme"] == tenant(limits=LIMITS)
    assert await given.listed(store, "acme") == []
    await given.topic(store, "orders", "acme")


async def test_a_topic_and_the_deletion_of_its_tenant_exclude_each_other(store):
    for n in range(10):
        name = f"t{n}"
        await store.tenant_create(tenant(name))
        deleted, created = await asyncio.gather(
            store.tenant_delete(name, NOW_MS),
            given.topic(store, "orders", name),
            return_exceptions=True,
        )
        assert (deleted is None) == isinstance(created, NotFound)
        assert isinstance(deleted, Conflict) == (not isinstance(created, Exception))


async def test_keys_that_are_over_and_deleted_tenants_are_forgotten_in_slices(store):
    await store.tenant_create(tenant("gone"))
    await store.tenant_create(tenant("young"))
    await store.key_put(key("of-it", "gone"), 0)
    await store.tenant_delete("gone", NOW_MS)
    await store.tenant_delete("young", NOW_MS + 9)
    await store.key_put(key("expired", expires_at_ms=NOW_MS), 0)
    await store.key_put(key("revoked", revoked_at_ms=NOW_MS), 0)
    await store.key_put(key("live", expires_at_ms=NOW_MS + 9), 0)
    assert await store.keys_trim(NOW_MS, 10) == 0
    assert await store.keys_trim(NOW_MS + 1, 2) == 2
    assert await store.keys_trim(NOW_MS + 1, 10) == 2
    assert await store.keys_trim(NOW_MS + 1, 10) == 0
    assert list(await keys(store)) == ["live"]
    assert sorted(await tenants(store)) == ["default", "young"]


async def test_there_are_so_many_tenants_and_keys_of_one(store, monkeypatch):
    for module in ("memory", "sqlite", "postgres"):
        place = f"conduit.storage.{module}.tenants"
        monkeypatch.setattr(f"{place}.TENANTS_MAX_COUNT", 2)
        monkeypatch.setattr(f"{place}.KEYS_MAX_COUNT", 2)
    await store.tenant_create(tenant("a"))
    with pytest.raises(LimitReached):
        await store.tenant_create(tenant("b"))
    for key_id in ("k1", "k2"):
        put = await store.key_put(key(key_id), 0)
    with pytest.raises(LimitReached):
        await store.key_put(key("k3"), 0)
    await store.key_put(key("k4", "a"), 0)
    await store.key_put(put, put.revision)
    # One of a name that was deleted takes its place.
    await store.tenant_delete("a", NOW_MS)
    await store.tenant_create(tenant("a"))


async def test_the_first_fact_of_a_name_stays(store):
    assert await store.first_fact("pepper", b"one") == b"one"
    assert await store.first_fact("pepper", b"two") == b"one"
    assert await store.fact("pepper") == b"one"
    told = await asyncio.gather(*[store.first_fact("salt", b"%d" % n) for n in range(8)])
    assert len(set(told)) == 1


# Tickets --------------------------------------------------------------------------------------------


async def test_a_ticket_is_taken_once(store):
    await store.ticket_put(b"hash", b"value", NOW_MS + 5, NOW_MS)
    taken = await asyncio.gather(*[store.ticket_take(b"hash", NOW_MS) for _ in range(6)])
    assert sorted(taken, key=str) == [None] * 5 + [b"value"] or taken.count(b"value") == 1
    assert await store.ticket_take(b"other", NOW_MS) is None


async def test_a_ticket_is_worth_nothing_once_it_has_expired(store):
    await store.ticket_put(b"hash", b"value", NOW_MS + 5, NOW_MS)
    assert await store.ticket_take(b"hash", NOW_MS + 5) is None
    assert await store.ticket_take(b"hash", NOW_MS) is None


async def test_expired_tickets_make_room_for_others(store, monkeypatch):
    for module in ("memory.access_calls", "sqlite.tickets", "postgres.tickets"):
        monkeypatch.setattr(f"conduit.storage.{module}.TICKETS_MAX_COUNT", 3)
    for n in range(3):
        await store.ticket_put(b"%d" % n, b"value", NOW_MS + 5, NOW_MS)
    with pytest.raises(LimitReached):
        await store.ticket_put(b"3", b"value", NOW_MS + 5, NOW_MS)
    assert await store.ticket_take(b"1", NOW_MS) == b"value"
    await store.ticket_put(b"3", b"value", NOW_MS + 50, NOW_MS)
    await store.ticket_put(b"4", b"value", NOW_MS + 50, NOW_MS + 5)
    assert await store.ticket_take(b"0", NOW_MS) is None
    assert await store.ticket_take(b"3", NOW_MS) == b"value"
    assert await store.keys_trim(NOW_MS + 51, 10) == 1


# Plans ----------------------------------------------------------------------------------------------


async def test_what_housekeeping_forgets_is_found_by_an_index(tmp_path):
    store = SqliteStore(tmp_path / "log.db")
    await store.open()
    try:
        for statement in (tenants_sql._FORGET_KEYS, tenants_sql._FORGET_TENANTS, audit._TRIM):
            plan = f"EXPLAIN QUERY PLAN {statement}"
            steps = [row[3] for row in await store._db.readers.call(rows, plan, (NOW_MS, 10))]
            assert [step for step in steps if "INDEX" in step]
            assert [step for step in steps if re.match(r"SCAN \w", step)] == []
    finally:
        await store.close()
