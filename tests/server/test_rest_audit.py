import json

import pytest

from conduit.core.access import AuditEntry
from conduit.errors import OutcomeUnknown, StoreUnavailable
from conduit.limits import NO_LIMITS
from tests.server.guarded import Guarded, open_guarded


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


async def entries(guarded: Guarded) -> list[AuditEntry]:
    """The oldest first."""
    return (await guarded.port.store.audit_page(None, limit=99))[::-1]


async def test_what_may_have_been_done_is_in_the_audit_log(guarded: Guarded, monkeypatch):
    operator, other = await guarded.operator(), await guarded.key()
    store, path = guarded.port.store, f"/api/keys/{other.record.key_id}"
    put = store.key_put

    async def unsure(record, expected):
        await put(record, expected)
        raise OutcomeUnknown("the store does not answer")

    monkeypatch.setattr(store, "key_put", unsure)
    answer = await guarded.ask("DELETE", path, operator.text)
    assert (answer.status, answer.json["code"]) == (503, "outcome_unknown")
    (entry,) = await entries(guarded)
    assert (entry.action, entry.target) == ("key.revoke", other.record.key_id)
    assert json.loads(entry.detail) == {"outcome": "unknown"}
    assert entry.actor == f"key:{operator.record.key_id}"


async def test_a_tenant_that_is_gone_and_cannot_be_read_back_is_in_it(
    guarded: Guarded, monkeypatch
):
    operator = await guarded.operator()
    await guarded.accounts.create_tenant("acme", NO_LIMITS)

    async def fails(revision):
        raise StoreUnavailable("the disk is away")

    monkeypatch.setattr(guarded.port.store, "access_since", fails)
    answer = await guarded.ask("DELETE", "/api/tenants/acme", operator.text)
    assert (answer.status, answer.json["code"]) == (503, "outcome_unknown")
    (entry,) = await entries(guarded)
    assert (entry.action, entry.tenant, entry.target) == ("tenant.delete", "acme", "acme")
    assert json.loads(entry.detail) == {"outcome": "unknown"}


async def test_what_surely_was_not_done_is_not_in_it(guarded: Guarded, monkeypatch):
    operator = await guarded.operator()

    async def fails(record, expected):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(guarded.port.store, "key_put", fails)
    path = f"/api/keys/{operator.record.key_id}"
    assert (await guarded.ask("DELETE", path, operator.text)).status == 503
    assert await entries(guarded) == []


async def test_a_key_that_is_revoked_again_is_not_in_it_again(guarded: Guarded):
    operator, other = await guarded.operator(), await guarded.key()
    path = f"/api/keys/{other.record.key_id}"
    for _ in range(2):
        assert (await guarded.ask("DELETE", path, operator.text)).status == 200
    assert [entry.action for entry in await entries(guarded)] == ["key.revoke"]


async def test_what_a_topic_keeps_is_in_it_when_that_is_changed(guarded: Guarded):
    operator = await guarded.operator()
    await guarded.ask("POST", "/api/topics", operator.text, {"name": "orders"})
    change = {"retention": {"max_messages": 1}}
    assert (await guarded.ask("PATCH", "/api/topics/orders", operator.text, change)).status == 200
    (entry,) = await entries(guarded)
    assert (entry.action, entry.target) == ("topic.change", "orders")
    assert json.loads(entry.detail)["retention"]["max_messages"] == 1
