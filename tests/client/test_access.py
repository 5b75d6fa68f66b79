"""What is sent for keys, tenants, tokens and the audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from conduit.client import ApiError, AsyncConduit, Grant, TenantLimits
from conduit.errors import InvalidRequest
from tests.client.peer import Frame, Head, answer, http_peer, problem

KEY: Frame = {
    "id": "abcd1234",
    "name": "worker",
    "tenant": "default",
    "scopes": [{"scope": "publish"}, {"scope": "subscribe", "topics": ["orders.>"]}],
    "limits": {"connections": 3},
    "created_at": "2026-01-01T00:00:00.000Z",
    "created_by": "key:zzzz0000",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
    "rotating_until": None,
}
USAGE = dict.fromkeys(
    (
        *("topics", "subscriptions", "connections", "stored_bytes"),
        *("dead_letters", "pending_retries", "keys"),
    ),
    1,
)
TENANT: Frame = {"name": "acme", "created_at": "", "limits": {"topics": 5}, "usage": USAGE}
ENTRY: Frame = {
    "id": "e1",
    "at": "2026-01-01T00:00:00.000Z",
    "tenant": "default",
    "actor": "key:abcd1234",
    "action": "topic.delete",
    "target": "orders",
    "address": "127.0.0.1",
    "request_id": "r1",
    "detail": {"messages": 3},
}


async def said(call: Any, *answers: bytes) -> tuple[Any, list[str], list[Frame]]:
    """What a call with a client returns, the first lines of its requests, and their bodies."""
    heads: list[Head] = []
    async with http_peer(*answers, heads=heads) as (url, bodies), AsyncConduit(url) as client:
        result = call(client)
        if hasattr(result, "__aiter__"):
            found = [each async for each in result]
        else:
            found = await result
    return found, [head.first for head in heads], bodies


async def test_a_key_is_created_with_its_rights() -> None:
    key, lines, (body,) = await said(
        lambda client: client.keys.create(
            "worker",
            ["publish", Grant(scope="subscribe", topics=("orders.>",), subscriptions=("b",))],
            ttl_s=60,
            limits=TenantLimits(connections=3),
        ),
        answer(201, KEY | {"key": "ck_live_x"}),
    )
    assert (key.key, key.id) == ("ck_live_x", "abcd1234")
    assert key.scopes[1] == Grant(scope="subscribe", topics=("orders.>",))
    assert lines == ["POST /api/keys"]
    grant = {"scope": "subscribe", "topics": ["orders.>"], "subscriptions": ["b"]}
    assert body == {
        "name": "worker",
        "scopes": [{"scope": "publish"}, grant],
        "ttl_s": 60,
        "limits": {"connections": 3},
    }


async def test_what_is_left_out_of_a_change_is_not_sent_and_none_takes_away() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for changes, sent in (
        ({"name": "x"}, {"name": "x"}),
        ({"expires_at": None}, {"expires_at": None}),
        ({"expires_at": moment}, {"expires_at": "2026-01-01T00:00:00.000Z"}),
        ({"scopes": ["manage"]}, {"scopes": [{"scope": "manage"}]}),
        ({"limits": {"connections": None}}, {"limits": {"connections": None}}),
    ):
        _, lines, (body,) = await said(
            lambda client, changes=changes: client.keys.change("abcd1234", **changes),
            answer(200, KEY),
        )
        assert (lines, body) == (["PATCH /api/keys/abcd1234"], sent)


async def test_a_key_is_rotated_shown_and_revoked() -> None:
    created = answer(200, KEY | {"key": "ck_live_y"})
    key, lines, (body,) = await said(lambda client: client.keys.rotate("a/b"), created)
    assert (key.key, lines, body) == ("ck_live_y", ["POST /api/keys/a%2Fb/rotate"], {})
    _, _, (body,) = await said(lambda client: client.keys.rotate("a", overlap_s=0), created)
    assert body == {"overlap_s": 0}
    key, lines, _ = await said(lambda client: client.keys.get("a"), answer(200, KEY))
    assert (key.name, lines) == ("worker", ["GET /api/keys/a"])
    _, lines, _ = await said(lambda client: client.keys.revoke("a"), answer(204, ""))
    assert lines == ["DELETE /api/keys/a"]


async def test_lists_come_in_pages() -> None:
    keys, lines, _ = await said(
        lambda client: client.keys.find(),
        answer(200, {"keys": [KEY], "next": "c1"}),
        answer(200, {"keys": [KEY | {"id": "b"}], "next": None}),
    )
    assert [key.id for key in keys] == ["abcd1234", "b"]
    assert lines == ["GET /api/keys?limit=100", "GET /api/keys?limit=100&cursor=c1"]
    tenants, lines, _ = await said(
        lambda client: client.tenants.find(), answer(200, {"tenants": [TENANT], "next": None})
    )
    assert (tenants[0].usage.keys, lines) == (1, ["GET /api/tenants?limit=100"])


async def test_a_tenant_is_created_changed_and_deleted() -> None:
    tenant, lines, (body,) = await said(
        lambda client: client.tenants.create("acme", {"topics": 5, "connections": None}),
        answer(201, TENANT),
    )
    assert (tenant.limits, lines) == (TenantLimits(topics=5), ["POST /api/tenants"])
    assert body == {"name": "acme", "limits": {"topics": 5, "connections": None}}
    _, lines, (body,) = await said(
        lambda client: client.tenants.change("acme", topics=None), answer(200, TENANT)
    )
    assert (lines, body) == (["PATCH /api/tenants/acme"], {"limits": {"topics": None}})
    _, lines, _ = await said(lambda client: client.tenants.get("acme"), answer(200, TENANT))
    assert lines == ["GET /api/tenants/acme"]
    _, lines, _ = await said(lambda client: client.tenants.delete("acme"), answer(204, ""))
    assert lines == ["DELETE /api/tenants/acme"]


async def test_tokens_and_tickets() -> None:
    reply = {"token": "t", "ticket": "k", "expires_at": "2026-01-01T00:00:00.000Z"}
    token, lines, (body,) = await said(
        lambda client: client.tokens.create(["subscribe"], 900, subject="ann"), answer(201, reply)
    )
    assert (token.token, lines) == ("t", ["POST /api/tokens"])
    assert body == {"scopes": [{"scope": "subscribe"}], "ttl_s": 900, "subject": "ann"}
    ticket, lines, (body,) = await said(lambda client: client.tickets.create(), answer(201, reply))
    assert (ticket.ticket, lines, body) == ("k", ["POST /api/tickets"], {})


async def test_who_one_is() -> None:
    reply = {
        "tenant": "default",
        "actor": "key:abcd1234",
        "key_id": "abcd1234",
        "scopes": [{"scope": "admin"}],
        "expires_at": None,
        "limits": {},
    }
    who, lines, _ = await said(lambda client: client.whoami(), answer(200, reply))
    assert (who.scopes, lines) == ([Grant(scope="admin")], ["GET /api/whoami"])


async def test_the_audit_log_is_asked_with_what_restricts_it() -> None:
    found, lines, _ = await said(
        lambda client: client.audit(
            from_time=datetime(2026, 1, 1, tzinfo=UTC), actor="key:abcd1234", action="topic.delete"
        ),
        answer(200, {"entries": [ENTRY], "next": None}),
    )
    assert found[0].detail == {"messages": 3}
    assert lines == [
        "GET /api/audit?from_time=2026-01-01T00%3A00%3A00.000Z&actor=key%3Aabcd1234"
        "&action=topic.delete&limit=100"
    ]


async def test_what_makes_no_sense_is_refused_before_it_is_sent() -> None:
    moment = datetime.now(UTC).replace(tzinfo=None)
    async with AsyncConduit("http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequest, match="scopes"):
            await client.keys.create("x", ["everything"])
        with pytest.raises(InvalidRequest, match="time zone"):
            await client.keys.create("x", ["publish"], expires_at=moment)
        with pytest.raises(InvalidRequest) as raised:
            await client.tenants.create("Not A Name")
    assert raised.value.code == "invalid_name"


async def test_what_the_server_refuses_is_an_error_with_its_code() -> None:
    async with (
        http_peer(problem(404, "key_not_found")) as (url, _),
        AsyncConduit(url) as client,
    ):
        with pytest.raises(ApiError) as raised:
            await client.keys.get("nope")
    assert raised.value.code == "key_not_found"
