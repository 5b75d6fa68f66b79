"""Tokens and tickets, from their making to their end."""

import asyncio

import pytest

from conduit.errors import LimitReached
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.tenancy import ticketing
from conduit.tenancy.accounts import KeyChange
from tests.server.guarded import DEFAULT_KEY, WHOLE, Guarded, closed, heard, open_guarded, said
from tests.server.port import TOPIC
from tests.tenancy.registered import OPERATOR

SUBSCRIBE = {"scope": "subscribe", "topics": [TOPIC, "new.*"]}
PUBLISH = {"scope": "publish", "topics": [TOPIC]}


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


async def token(guarded: Guarded, key: str, *scopes: dict, **more: object) -> str:
    body = {"scopes": list(scopes or (SUBSCRIBE, PUBLISH)), **more}
    answer = await guarded.ask("POST", "/api/tokens", key, body)
    assert answer.status == 201, answer.json
    return answer.json["token"]


async def test_a_token_does_what_it_says_and_nothing_else(guarded: Guarded):
    made = await guarded.key()
    text = await token(guarded, made.text, subject="user-42")
    who = await guarded.ask("GET", "/api/whoami", text)
    assert who.json["actor"].startswith("token:")
    assert (who.json["tenant"], who.json["key_id"]) == ("default", made.record.key_id)
    for method, path, body, status in (
        ("POST", "/api/publish", {"topic": TOPIC, "payload": 1}, 200),
        ("POST", "/api/publish", {"topic": "other", "payload": 1}, 403),
        ("GET", f"/api/topics/{TOPIC}", None, 200),
        ("POST", "/api/topics", {"name": "new.a"}, 403),
        ("DELETE", f"/api/topics/{TOPIC}", None, 403),
        ("GET", "/api/keys", None, 403),
        ("POST", "/api/tokens", {"scopes": [PUBLISH]}, 403),
    ):
        assert (await guarded.ask(method, path, text, body)).status == status, (method, path)


async def test_a_token_makes_no_topic_and_uses_only_subscriptions_that_it_names(guarded: Guarded):
    made = await guarded.key()
    named = {"scope": "subscribe", "subscriptions": ["web.*"]}
    text = await token(guarded, made.text, SUBSCRIBE, named)
    socket = await guarded.socket()
    await socket.send(said(type="auth", token=text))
    assert (await heard(socket))["expires_at"] is not None
    for fields, code in (
        ({"topic": TOPIC}, None),
        ({"topic": "new.a"}, "topic_not_found"),
        ({"topic": TOPIC, "subscription": "billing"}, "forbidden"),
        # It may use it, and does not make it.
        ({"topic": TOPIC, "subscription": "web.1"}, "subscription_not_found"),
    ):
        await socket.send(said(type="subscribe", **fields))
        assert (await heard(socket)).get("code") == code, fields
    assert guarded.port.broker.topics.find("default", "new.a") is None


@pytest.mark.parametrize(
    ("grants", "scopes", "status"),
    [
        (WHOLE, [{"scope": "admin"}], 400),
        ([Grant(scope="publish")], [{"scope": "subscribe"}], 403),
        ([Grant(scope="publish", topics=("a",))], [{"scope": "publish"}], 403),
        (WHOLE, [], 400),
        (WHOLE, [{"scope": "publish", "topics": ["a..b"]}], 400),
        (WHOLE, "publish", 400),
    ],
)
async def test_what_a_key_cannot_give_is_refused(guarded: Guarded, grants, scopes, status):
    made = await guarded.key(*grants)
    answer = await guarded.ask("POST", "/api/tokens", made.text, {"scopes": scopes})
    assert answer.status == status, answer.json


async def test_a_token_that_may_manage_looks_after_no_keys(guarded: Guarded):
    made = await guarded.key()
    text = await token(guarded, made.text, {"scope": "manage"})
    assert (await guarded.ask("GET", "/api/topics", text)).status == 200
    body = {"name": "x", "scopes": [{"scope": "manage"}]}
    for method, path in (
        ("GET", "/api/keys"),
        ("POST", "/api/keys"),
        ("GET", f"/api/keys/{made.record.key_id}"),
        ("DELETE", f"/api/keys/{made.record.key_id}"),
        ("POST", f"/api/keys/{made.record.key_id}/rotate"),
    ):
        sent = body if path == "/api/keys" else {}
        answer = await guarded.ask(method, path, text, sent if method == "POST" else None)
        assert answer.json["code"] == "forbidden", (method, path)


async def test_tokens_end_with_their_key_and_with_its_rights(guarded: Guarded):
    made = await guarded.key()
    text = await token(guarded, made.text)
    socket = await guarded.socket(text)
    await socket.send(said(type="subscribe", topic=TOPIC))
    await heard(socket)
    less = KeyChange(grants=[Grant(scope="subscribe")])
    await guarded.accounts.change_key(OPERATOR, made.record.key_id, less)
    assert (await guarded.ask("GET", "/api/whoami", text)).status == 401
    guarded.check(guarded.port.context.now())
    assert (await heard(socket))["code"] == "unauthenticated"
    assert await closed(socket) == 4501


async def test_an_expired_token_publishes_nothing_more(guarded: Guarded, monkeypatch):
    made = await guarded.key()
    text = await token(guarded, made.text, ttl_s=60)
    socket = await guarded.socket(text)
    await socket.send(said(type="publish", topic=TOPIC, payload=1))
    assert (await heard(socket))["type"] == "published"
    clock = guarded.port.broker.clock
    now_ms = clock.wall_ms()
    monkeypatch.setattr(clock, "wall_ms", lambda: now_ms + 61_000)
    await socket.send(said(type="publish", topic=TOPIC, payload=2))
    assert (await heard(socket))["code"] == "unauthenticated"
    assert await closed(socket) == 4501
    body = {"topic": TOPIC, "payload": 3}
    assert (await guarded.ask("POST", "/api/publish", text, body)).status == 401
    assert guarded.port.last_seq == 1


async def test_limits_of_a_key_count_for_its_tokens_as_well(guarded: Guarded):
    made = await guarded.key(limits=TenantLimits(publishes_per_s=2))
    body = {"topic": TOPIC, "payload": 1}
    statuses = [
        (await guarded.ask("POST", "/api/publish", credential, body)).status
        for credential in (made.text, await token(guarded, made.text), made.text)
    ]
    assert statuses == [200, 200, 429]


async def test_the_default_key_makes_tokens_and_tickets(guarded: Guarded):
    text = await token(guarded, DEFAULT_KEY)
    assert (await guarded.ask("GET", "/api/whoami", text)).json["tenant"] == "default"
    answer = await guarded.ask("POST", "/api/tickets", DEFAULT_KEY, {})
    socket = await guarded.socket(path=f"/ws?ticket={answer.json['ticket']}")
    await socket.send(said(type="heartbeat"))
    assert (await heard(socket))["type"] == "heartbeat_ack"


async def test_a_token_of_an_operator_is_for_the_tenant_that_it_was_made_for(guarded: Guarded):
    await guarded.tenant("acme")
    operator = await guarded.operator()
    answer = await guarded.ask(
        "POST", "/api/tokens", operator.text, {"scopes": [PUBLISH]}, "X-Conduit-Tenant: acme"
    )
    who = await guarded.ask("GET", "/api/whoami", answer.json["token"])
    assert who.json["tenant"] == "acme"


async def test_a_ticket_is_good_once_with_the_rights_of_who_has_asked_for_it(guarded: Guarded):
    made = await guarded.key(Grant(scope="subscribe", topics=(TOPIC,)))
    for credential in (
        made.text,
        await token(guarded, made.text, {"scope": "subscribe", "topics": [TOPIC]}),
    ):
        answer = await guarded.ask("POST", "/api/tickets", credential, {})
        assert answer.status == 201
        path = f"/ws?ticket={answer.json['ticket']}"
        socket = await guarded.socket(path=path)
        # Frames that come before it is known whose the ticket is are somebody's as well.
        await socket.send(said(type="subscribe", topic=TOPIC) + said(type="subscribe", topic="x"))
        assert (await heard(socket))["type"] == "subscribed"
        assert (await heard(socket))["code"] == "forbidden"
        again = await guarded.socket(path=path)
        assert (await heard(again))["code"] == "unauthenticated"
        assert await closed(again) == 4501


async def test_a_ticket_of_a_key_that_is_revoked_is_worth_nothing(guarded: Guarded):
    made = await guarded.key()
    answer = await guarded.ask("POST", "/api/tickets", made.text, {})
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    socket = await guarded.socket(path=f"/ws?ticket={answer.json['ticket']}")
    assert (await heard(socket))["code"] == "unauthenticated"
    assert await closed(socket) == 4501


@pytest.mark.parametrize("ticket", ["", "x", "ct_" + "0" * 43, "%00", "ct_" + "é" * 43])
async def test_what_is_no_ticket_closes(guarded: Guarded, ticket):
    socket = await guarded.socket(
        path=f"/ws?ticket={ticket.encode().hex() if 'é' in ticket else ticket}"
    )
    await socket.send(said(type="auth", token=DEFAULT_KEY))
    assert (await heard(socket))["code"] == "unauthenticated"
    assert await closed(socket) == 4501


async def test_a_tenant_that_has_the_name_of_one_that_is_gone_is_another(guarded: Guarded):
    await guarded.tenant("acme")
    operator = await guarded.operator()
    named = "X-Conduit-Tenant: acme"
    asked = {"scopes": [PUBLISH]}
    made = await guarded.ask("POST", "/api/tokens", operator.text, asked, named)
    ticket = await guarded.ask("POST", "/api/tickets", operator.text, {}, named)
    await guarded.accounts.delete_tenant("acme")
    # In another millisecond.
    await asyncio.sleep(0.002)
    await guarded.tenant("acme")
    assert (await guarded.ask("GET", "/api/whoami", made.json["token"])).status == 401
    socket = await guarded.socket(path=f"/ws?ticket={ticket.json['ticket']}")
    assert (await heard(socket))["code"] == "unauthenticated"


async def test_unused_tickets_are_bounded_for_each_tenant_by_itself(guarded: Guarded, monkeypatch):
    monkeypatch.setattr(ticketing, "UNUSED_MAX_COUNT", 3)
    of = guarded.port.context.tenancy.ticketing
    now_ms = 1_700_000_000_000
    monkeypatch.setattr(guarded.port.broker.clock, "wall_ms", lambda: now_ms)
    other = await guarded.key(by=await guarded.tenant("acme"))
    one, another = (
        guarded.registry.authenticate(key.text.encode()) for key in (await guarded.key(), other)
    )
    given = [(await of.give(one))[0] for _ in range(3)]
    with pytest.raises(LimitReached):
        await of.give(one)
    await of.give(another)
    await of.redeem(given[1].encode())
    await of.give(one)
    with pytest.raises(LimitReached):
        await of.give(one)
    now_ms += 60_000
    for _ in range(3):
        await of.give(one)
    assert len(of._unused._ends) == 3
    assert dict(of._unused._counts) == {"default": 3}
