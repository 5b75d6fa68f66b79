import asyncio
import json

import pytest

from conduit.core.access import AuditEntry
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.storage.memory import MemoryStore
from conduit.tenancy import audit
from conduit.tenancy.audit import ADDRESSES_MAX_COUNT, ALIKE_MAX_COUNT, OTHERS, Audit, Origin
from conduit.tenancy.principal import Principal
from tests.tenancy.registered import OPERATOR, HandClock

ORIGIN = Origin("192.0.2.1", "request-1")


class Failing(MemoryStore):
    """A store whose audit log can be taken away."""

    fails = False

    async def audit_add(self, entries):
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailable("the disk is full")
        await super().audit_add(entries)

    async def entries(self) -> list[AuditEntry]:
        return list(await self.audit_page(None, limit=500))


@pytest.fixture
async def store():
    store = Failing()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def log(store):
    log = Audit(store, HandClock())
    await log.start()
    yield log
    await log.close()


async def test_what_was_done_is_stored_when_it_is_answered(store, log):
    await log.done(OPERATOR, ORIGIN, "topic.delete", "orders", why="x")
    (entry,) = await store.entries()
    assert (entry.tenant, entry.actor, entry.action) == ("default", "key:operator", "topic.delete")
    assert (entry.target, entry.address, entry.request_id) == ("orders", "192.0.2.1", "request-1")
    assert json.loads(entry.detail) == {"why": "x"}


async def test_what_a_token_has_done_names_its_key(store, log):
    token = Principal("default", "token:t1", (), key_id="k1", is_token=True)
    await log.done(token, ORIGIN, "topic.delete", "orders", why="x")
    await log.done_to("acme", token, ORIGIN, "tenant.delete")
    with pytest.raises(OutcomeUnknown):
        async with log.if_unsure(token, ORIGIN, "topic.delete", "orders"):
            raise OutcomeUnknown("?")
    entries = await store.entries()
    assert {entry.actor for entry in entries} == {"token:t1"}
    assert {json.loads(entry.detail)["by_key"] for entry in entries} == {"k1"}


async def test_a_store_that_fails_keeps_nobody_and_has_it_later(store, log, monkeypatch):
    monkeypatch.setattr(audit, "STORED_WITHIN_S", 0.05)
    store.fails = True
    await log.done(OPERATOR, ORIGIN, "topic.delete", "first")
    await log.done(OPERATOR, ORIGIN, "topic.delete", "second")
    assert await store.entries() == []
    store.fails = False
    await log.close()
    assert [entry.target for entry in await store.entries()] == ["second", "first"]


async def test_what_waits_is_stored_at_the_end(store):
    log = Audit(store, HandClock())
    await log.start()
    log.sign_in_failed("192.0.2.1")
    await log.close()
    (entry,) = await store.entries()
    assert (entry.action, entry.address) == ("sign_in.fail", "192.0.2.1")


async def test_failed_sign_ins_are_counted_by_address_and_those_of_very_many_together(store):
    log = Audit(store, HandClock())
    await log.start()
    for number in range(ADDRESSES_MAX_COUNT + 50):
        log.sign_in_failed(f"address-{number}")
        log.sign_in_failed("address-0")
    await log.close()
    entries = await store.entries()
    counts = {entry.address: json.loads(entry.detail)["count"] for entry in entries}
    assert len(counts) == ADDRESSES_MAX_COUNT + 1
    assert counts["address-0"] == ADDRESSES_MAX_COUNT + 51
    assert counts[OTHERS] == 50


async def test_what_is_done_to_one_thing_over_and_over_is_counted(store):
    log = Audit(store, HandClock())
    await log.start()
    for number in range(ALIKE_MAX_COUNT + 30):
        await log.done(OPERATOR, ORIGIN, "subscription.change", "s", number=number)
    await log.done(OPERATOR, ORIGIN, "subscription.change", "other")
    await log.done(OPERATOR, ORIGIN, "subscription.delete", "s")
    assert len(await store.entries()) == ALIKE_MAX_COUNT + 2
    log._tell_minute()
    # A minute later it is stored by itself again.
    await log.done(OPERATOR, ORIGIN, "subscription.change", "s", number="next")
    await log.close()
    last, counted, *_ = await store.entries()
    assert json.loads(last.detail) == {"number": "next"}
    assert (counted.actor, counted.target) == ("key:operator", "s")
    assert json.loads(counted.detail) == {"times": 30, "number": ALIKE_MAX_COUNT + 29}


async def test_at_the_end_what_was_counted_is_stored(store):
    log = Audit(store, HandClock())
    await log.start()
    for _ in range(ALIKE_MAX_COUNT + 1):
        await log.done(OPERATOR, ORIGIN, "subscription.change", "s")
    await log.close()
    assert len(await store.entries()) == ALIKE_MAX_COUNT + 1


async def test_of_kinds_there_is_a_bound_and_of_others_all_are_stored(store, log, monkeypatch):
    monkeypatch.setattr(audit, "KINDS_MAX_COUNT", 1)
    for target in ("first", "second"):
        for _ in range(ALIKE_MAX_COUNT + 5):
            await log.done(OPERATOR, ORIGIN, "subscription.change", target)
    assert len(log._alike) == 1
    assert len(await store.entries()) == 2 * ALIKE_MAX_COUNT + 5


async def test_there_is_a_bound_on_what_waits(store, log, monkeypatch, caplog):
    monkeypatch.setattr(audit, "WAITING_MAX_COUNT", 2)
    monkeypatch.setattr(audit, "STORED_WITHIN_S", 0.01)
    store.fails = True
    for number in range(4):
        await log.done(OPERATOR, ORIGIN, "topic.delete", str(number))
    assert log.waiting_count == 2
    log._tell_minute()
    assert "were dropped: 2" in caplog.text
    store.fails = False


async def test_a_long_target_is_cut(store, log):
    await log.done(OPERATOR, ORIGIN, "topic.delete", "x" * 5_000)
    (entry,) = await store.entries()
    assert len(entry.target) == 255


async def test_where_nothing_runs_several_are_stored_once_and_in_their_order(store):
    log = Audit(store, HandClock())
    await asyncio.gather(*(log.done(OPERATOR, ORIGIN, "x", str(n)) for n in range(5)))
    assert [entry.target for entry in await store.entries()] == ["4", "3", "2", "1", "0"]
    assert log.waiting_count == 0


async def test_what_is_done_while_it_closes_is_stored_and_does_not_stop_the_end(store):
    log = Audit(store, HandClock())
    await log.start()
    log.sign_in_failed("192.0.2.1")
    late = (log.done(OPERATOR, ORIGIN, "late", str(n)) for n in range(5))
    await asyncio.gather(log.close(), *late)
    await log.done(OPERATOR, ORIGIN, "late", "last")
    assert len(await store.entries()) == 7


async def test_where_nothing_runs_and_the_store_fails_it_is_told_and_does_not_raise(store, caplog):
    log = Audit(store, HandClock())
    store.fails = True
    await log.done(OPERATOR, ORIGIN, "x", "first")
    assert "are not stored: 1" in caplog.text
    store.fails = False
    await log.done(OPERATOR, ORIGIN, "x", "second")
    assert [entry.target for entry in await store.entries()] == ["second", "first"]


async def test_a_long_detail_is_cut_and_can_be_read(store, log):
    await log.done(OPERATOR, ORIGIN, "key.create", "k", scopes=['"\\é'] * 5_000)
    await log.done(OPERATOR, ORIGIN, "key.create", "k", name="x" * 2_000)
    short, long = await store.entries()
    assert json.loads(short.detail) == {"name": "x" * 2_000}
    assert len(long.detail) <= audit.DETAIL_MAX_CHARS
    assert json.loads(long.detail)["cut"].startswith('{"scopes": [')
    assert json.loads(long.detail)["length"] > 50_000
