"""Limits of tenants and keys, where they are asked for."""

import pytest

from conduit.limits import TenantLimits
from conduit.tenancy.accounts import KeyChange
from tests.server.guarded import Guarded, closed, heard, open_guarded, said
from tests.server.port import TOPIC
from tests.tenancy.registered import OPERATOR

ONE = {"topic": TOPIC, "payload": 1}
WAYS = [
    ("/api/publish", ONE),
    ("/api/publish/batch", {"messages": [ONE]}),
    ("/api/publish?", ONE),
    ("/api/publish/batch?", {"messages": [ONE]}),
]


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


@pytest.mark.parametrize(("path", "body"), WAYS)
async def test_more_than_may_be_in_a_second_is_refused_by_name(guarded: Guarded, path, body):
    made = await guarded.key(limits=TenantLimits(publishes_per_s=2))
    answers = [await guarded.ask("POST", path, made.text, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert (refused.json["code"], refused.json["limit"]) == ("rate_limited", "publishes_per_s")
    assert refused.headers["retry-after"] == "1"
    assert guarded.port.last_seq == 2
    # Another key of the tenant has its own.
    other = await guarded.key()
    assert (await guarded.ask("POST", path, other.text, body)).status == 200


@pytest.mark.parametrize(("path", "body"), WAYS)
async def test_a_payload_that_a_key_may_not_have_is_refused_by_name(guarded: Guarded, path, body):
    made = await guarded.key(limits=TenantLimits(message_bytes=0))
    refused = await guarded.ask("POST", path, made.text, body)
    assert (refused.json["code"], refused.json["limit"]) == ("payload_too_large", "message_bytes")
    assert refused.json["field"].endswith("payload")
    assert guarded.port.last_seq == 0


async def test_limits_of_a_tenant_count_at_once_and_for_all_of_its_keys(guarded: Guarded):
    first, second = await guarded.key(), await guarded.key()
    sockets = [await guarded.socket(key.text) for key in (first, second)]
    publish = said(type="publish", topic=TOPIC, payload=1)
    for socket in sockets:
        await socket.send(publish)
        assert (await heard(socket))["type"] == "published"
    await guarded.accounts.change_tenant("default", TenantLimits(publishes_per_s=1))
    await sockets[0].send(publish)
    assert (await heard(sockets[0]))["type"] == "published"
    await sockets[1].send(publish)
    refused = await heard(sockets[1])
    assert (refused["code"], refused["limit"]) == ("rate_limited", "publishes_per_s")
    assert 0 < refused["retry_after_ms"] <= 1000
    await guarded.accounts.change_tenant("default", TenantLimits())
    for socket in sockets * 2:
        await socket.send(publish)
        assert (await heard(socket))["type"] == "published"


async def test_connections_are_counted_from_their_signing_in_to_their_end(guarded: Guarded):
    await guarded.accounts.change_tenant("default", TenantLimits(connections=2))
    made = await guarded.key()
    first = await guarded.socket(made.text)
    second = await guarded.socket()
    await second.send(said(type="auth", token=made.text))
    assert (await heard(second))["type"] == "authenticated"
    for third in (await guarded.socket(made.text), await guarded.socket()):
        await third.send(said(type="auth", token=made.text))
        refused = await heard(third)
        assert (refused["code"], refused["limit"]) == ("limit_reached", "connections")
        assert await closed(third) == 1013
    first.writer.close()
    allowance = guarded.port.broker.allowances.of("default")
    await guarded.port.until(lambda: allowance.connections.count == 1)
    again = await guarded.socket(made.text)
    await again.send(said(type="heartbeat"))
    assert (await heard(again))["type"] == "heartbeat_ack"


async def test_a_key_that_gets_a_limit_has_it_on_its_open_sockets(guarded: Guarded):
    made = await guarded.key()
    socket = await guarded.socket(made.text)
    change = KeyChange(limits=TenantLimits(message_bytes=1))
    await guarded.accounts.change_key(OPERATOR, made.record.key_id, change)
    await socket.send(said(type="publish", topic=TOPIC, payload="long"))
    refused = await heard(socket)
    assert (refused["code"], refused["limit"]) == ("payload_too_large", "message_bytes")


async def test_what_a_tenant_uses_is_shown_to_the_operator(guarded: Guarded):
    acme = await guarded.tenant("acme")
    theirs = await guarded.key(by=acme)
    for name in ("a", "b"):
        await guarded.ask("POST", "/api/topics", theirs.text, {"name": name})
    await guarded.ask("POST", "/api/publish", theirs.text, {"topic": "a", "payload": 12345})
    body = {"name": "s", "topic": "a"}
    await guarded.ask("POST", "/api/subscriptions", theirs.text, body)
    await guarded.socket(theirs.text)
    operator = await guarded.operator()
    shown = await guarded.ask("GET", "/api/tenants/acme", operator.text)
    assert shown.json["usage"] == {
        "topics": 2,
        "subscriptions": 1,
        "connections": 1,
        "stored_bytes": 5,
        "dead_letters": 0,
        "pending_retries": 0,
        "keys": 1,
    }
    listed = await guarded.ask("GET", "/api/tenants", operator.text)
    assert listed.json["tenants"][0] == shown.json


async def test_statistics_are_those_of_the_caller(guarded: Guarded):
    acme = await guarded.tenant("acme")
    theirs, ours, operator = (
        await guarded.key(by=acme),
        await guarded.key(),
        await guarded.operator(),
    )
    await guarded.ask("POST", "/api/topics", theirs.text, {"name": "a"})
    for _ in range(3):
        await guarded.ask("POST", "/api/publish", theirs.text, {"topic": "a", "payload": 1})
    await guarded.socket(theirs.text)
    acting = "X-Conduit-Tenant: acme"
    for key, more, seen in (
        (theirs.text, (), (3, 1, 1)),
        (ours.text, (), (0, 1, 0)),
        (operator.text, (acting,), (3, 1, 1)),
    ):
        answer = (await guarded.ask("GET", "/api/stats", key, None, *more)).json
        found = (answer["total_messages"], answer["active_topics"], answer["connections"])
        assert found == seen
        history = (await guarded.ask("GET", "/api/stats/history", key, None, *more)).json
        assert history["samples"] == []
    node = (await guarded.ask("GET", "/api/stats", operator.text)).json
    assert (node["total_messages"], node["active_topics"]) == (3, 2)


async def test_limits_that_a_tenant_gets_later_hold_for_an_operator_that_acts_in_it(
    guarded: Guarded,
):
    await guarded.tenant("acme")
    operator = await guarded.operator()
    acting = "X-Conduit-Tenant: acme"
    made = await guarded.ask("POST", "/api/topics", operator.text, {"name": TOPIC}, acting)
    assert made.status == 201
    ask = ("POST", "/api/publish", operator.text, ONE, acting)
    assert (await guarded.ask(*ask)).status == 200
    await guarded.accounts.change_tenant("acme", TenantLimits(publishes_per_s=1))
    assert [(await guarded.ask(*ask)).status for _ in range(3)][-1] == 429


async def test_a_name_that_is_empty_is_refused_in_plain_words(guarded: Guarded):
    operator = await guarded.operator()
    body = {"name": "", "scopes": [{"scope": "publish"}]}
    refused = (await guarded.ask("POST", "/api/keys", operator.text, body)).json
    assert (refused["field"], refused["detail"]) == ("name", "name must have at least 1 character")
