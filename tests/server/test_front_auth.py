"""Who asks over HTTP."""

import asyncio
from collections.abc import Awaitable

import pytest

from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.server.head import known_head
from conduit.tenancy.accounts import KeyChange
from tests.server.guarded import Guarded, bearer, open_guarded
from tests.server.port import TOPIC, publish, request
from tests.tenancy.registered import OPERATOR

REFUSED = "the key or token is missing, or is not good"


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


async def test_a_publish_needs_a_key_that_is_good_and_has_the_right(guarded: Guarded):
    some = await guarded.key(Grant(scope="publish", topics=("other.*",)))
    none = await guarded.key(Grant(scope="subscribe"))
    good = await guarded.key(Grant(scope="publish", topics=(TOPIC,)))
    for key, status, code in (
        ("", 401, "unauthenticated"),
        ("ck_live_x", 401, "unauthenticated"),
        (some.text, 403, "forbidden"),
        (none.text, 403, "forbidden"),
        (good.text, 200, None),
    ):
        for path, body in (
            ("/api/publish", {"topic": TOPIC, "payload": 1}),
            ("/api/publish/batch", {"messages": [{"topic": TOPIC, "payload": 1}]}),
            # What the fast path leaves to the application.
            ("/api/publish?", {"topic": TOPIC, "payload": 1}),
        ):
            answer = await guarded.ask("POST", path, key, body)
            assert (answer.status, answer.json.get("code")) == (status, code), (path, answer.json)
            if status == 401:
                assert answer.json["detail"] == REFUSED
                assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.port.last_seq == 3


async def test_one_message_of_a_batch_that_is_not_allowed_stores_none(guarded: Guarded):
    good = await guarded.key(Grant(scope="publish", topics=(TOPIC,)))
    messages = [{"topic": TOPIC, "payload": 1}, {"topic": "other", "payload": 1}]
    answer = await guarded.ask("POST", "/api/publish/batch", good.text, {"messages": messages})
    assert answer.json["code"] == "forbidden"
    assert guarded.port.last_seq == 0


@pytest.mark.parametrize(
    "lines",
    [
        ("Authorization: bearer {key}",),
        ("AUTHORIZATION:   Bearer   {key}   ",),
        ("X-API-Key: {key}",),
        ("x-api-key:{key}",),
    ],
)
async def test_ways_to_give_a_key(guarded: Guarded, lines):
    made = await guarded.key()
    answer = await guarded.ask(
        "GET", "/api/whoami", "", None, *[line.format(key=made.text) for line in lines]
    )
    assert answer.json["key_id"] == made.record.key_id


@pytest.mark.parametrize(
    "lines",
    [
        ("Authorization: {key}",),
        ("Authorization: Basic {key}",),
        ("X-API-Key: Bearer {key}",),
        ("Authorization:",),
        ("X-API-Keys: {key}",),
        ("Cookie: key={key}",),
    ],
)
async def test_what_is_no_way_to_give_a_key(guarded: Guarded, lines):
    made = await guarded.key()
    answer = await guarded.ask(
        "GET", "/api/whoami", "", None, *[line.format(key=made.text) for line in lines]
    )
    assert answer.status == 401


@pytest.mark.parametrize("second", ["Authorization: Bearer x", "X-API-Key: {key}", "x-api-key: "])
async def test_two_credentials_are_refused_whatever_they_are(guarded: Guarded, second):
    made = await guarded.key()
    answer = await guarded.ask("GET", "/api/whoami", made.text, None, second.format(key=made.text))
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


async def test_before_the_request_line_there_is_no_header(guarded: Guarded):
    made = await guarded.key()
    client = await guarded.port.connect()
    await client.send(f"\r\n{bearer(made.text)}\r\n".encode() + request("GET", "/api/whoami"))
    assert (await client.answer()).status == 400


async def test_of_a_body_nothing_is_read_whose_sender_is_nobody(guarded: Guarded):
    client = await guarded.port.connect()
    await client.send(request("POST", "/api/publish", None, "Content-Length: 200000"))
    answer = await client.answer()
    assert answer.status == 401
    assert answer.headers["connection"] == "close"
    client = await guarded.port.connect()
    await client.send(request("POST", "/api/topics", None, "Transfer-Encoding: chunked"))
    assert (await client.answer()).status == 401


async def test_nobody_costs_no_turn_of_the_application(guarded: Guarded):
    for path in ("/api/topics", "/api/nothing", "/api/keys", "/metrics", "/api/whoami?x=1"):
        assert (await guarded.ask("GET", path)).status == 401
    for path in ("/health", "/health/ready", "/", "/docs", "/openapi.json"):
        assert (await guarded.ask("GET", path)).status == 200
        # A credential that is not good is not looked at there by who probes.
        if path.startswith("/health"):
            assert (await guarded.ask("GET", path, "ck_live_x")).status == 200


async def test_the_document_says_who_needs_a_credential_and_of_which_kind(guarded: Guarded):
    document = (await guarded.ask("GET", "/openapi.json")).json
    schemes = document["components"]["securitySchemes"]
    assert document["security"] == [{name: []} for name in schemes]
    assert [(each["type"], each["in"]) for each in schemes.values() if "in" in each] == [
        ("apiKey", "header")
    ]
    free = [
        path
        for path, operations in document["paths"].items()
        if any(operation.get("security") == [] for operation in operations.values())
    ]
    assert sorted(free) == ["/", "/health", "/health/ready"]
    for path in document["paths"]:
        if "{" not in path and "get" in document["paths"][path]:
            status = (await guarded.ask("GET", path)).status
            assert (status == 200) == (path in free), path
    assert b"Authorization: Bearer" in (await guarded.ask("GET", "/docs")).body


async def test_a_connection_that_repeats_itself_is_somebodys_until_the_key_is_revoked(
    guarded: Guarded,
):
    made = await guarded.key()
    client = await guarded.port.connect()
    for _ in range(3):
        await client.send(publish(1, bearer(made.text)))
        assert (await client.answer()).status == 200
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    await client.send(publish(1, bearer(made.text)))
    assert (await client.answer()).status == 401
    await client.send(publish(1, bearer((await guarded.key()).text)))
    assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    ("path", "body", "good"),
    [
        ("/api/publish", '{"topic":"demo","payload":1}', 200),
        ("/api/publish/batch", '{"messages":[{"topic":"demo","payload":1}]}', 200),
        ("/api/topics", '{"name":"new"}', 201),
    ],
)
async def test_a_request_under_way_goes_on_when_its_key_is_changed_and_not_when_it_is_revoked(
    guarded: Guarded, path: str, body: str, good: int
):
    made = await guarded.key(Grant(scope="publish"), Grant(scope="manage"))
    key_id = made.record.key_id

    async def asked(change: Awaitable[object]) -> int:
        head = f"Content-Length: {len(body)}"
        client = await guarded.port.connect()
        await client.send(request("POST", path, None, head, bearer(made.text)) + body[:5].encode())
        for _ in range(10):
            await asyncio.sleep(0)
        await change
        await client.send(body[5:].encode())
        return (await client.answer()).status

    limits = TenantLimits(publishes_per_s=1_000)
    change_key, rotate_key = guarded.accounts.change_key, guarded.accounts.rotate_key
    assert await asked(change_key(OPERATOR, key_id, KeyChange(limits=limits))) == good
    body = body.replace("new", "next")
    assert await asked(rotate_key(OPERATOR, key_id, 60)) == good
    body = body.replace("next", "last")
    less = KeyChange(grants=(Grant(scope="subscribe"),))
    assert await asked(change_key(OPERATOR, key_id, less)) == 403
    assert await asked(guarded.accounts.revoke_key(OPERATOR, key_id)) == 401


async def test_an_end_counts_also_for_a_connection_that_repeats_itself(
    guarded: Guarded, monkeypatch
):
    now_ms = guarded.port.broker.clock.wall_ms()
    made = await guarded.key(expires_at_ms=now_ms + 60_000)
    clients = [await guarded.port.connect() for _ in range(2)]
    asked = (publish(1, bearer(made.text)), request("GET", "/api/topics", None, bearer(made.text)))
    for client, text in zip(clients, asked, strict=True):
        for _ in range(2):
            await client.send(text)
            assert (await client.answer()).status == 200
    monkeypatch.setattr(guarded.port.broker.clock, "wall_ms", lambda: now_ms + 60_000)
    for client, text in zip(clients, asked, strict=True):
        await client.send(text)
        assert (await client.answer()).status == 401


async def test_heads_that_are_remembered_have_no_credential(guarded: Guarded):
    known_head.cache_clear()
    made = await guarded.key()
    first = await guarded.ask("GET", "/api/whoami", made.text)
    other = await guarded.key()
    second = await guarded.ask("GET", "/api/whoami", other.text)
    assert first.json["key_id"] != second.json["key_id"]
    # One head, whoever sends it.
    assert known_head.cache_info().currsize == 1


async def test_the_application_is_told_who_asks_and_not_by_a_header(guarded: Guarded):
    made = await guarded.key()
    answer = await guarded.ask(
        "GET", "/api/whoami", made.text, None, "conduit.caller: x", "X-Conduit-Tenant: other"
    )
    assert answer.json["tenant"] == "default"


async def test_an_operator_acts_for_a_tenant_that_it_names(guarded: Guarded):
    acme = await guarded.tenant("acme")
    operator = await guarded.key(Grant(scope="admin"))
    theirs = await guarded.key(by=acme)
    made = await guarded.ask("POST", "/api/topics", theirs.text, {"name": "secret"})
    assert made.status == 201
    for key, tenant, names in (
        (operator.text, "acme", ["secret"]),
        (operator.text, "default", [TOPIC]),
        (theirs.text, "default", ["secret"]),
    ):
        answer = await guarded.ask("GET", "/api/topics", key, None, f"X-Conduit-Tenant: {tenant}")
        assert [topic["name"] for topic in answer.json["topics"]] == names
    answer = await guarded.ask("GET", "/api/topics", operator.text, None, "X-Conduit-Tenant: no")
    assert (answer.status, answer.json["code"]) == (404, "tenant_not_found")


async def test_failed_sign_ins_are_counted_for_the_audit_log(guarded: Guarded):
    await guarded.ask("GET", "/api/whoami")
    await guarded.ask("GET", "/api/whoami", "ck_live_x")
    await guarded.ask("POST", "/api/publish", "ck_live_x", {})
    assert guarded.port.context.audit._failed == {"127.0.0.1": 2}


async def test_who_is_refused_is_asked_about_again_on_the_same_connection(guarded: Guarded):
    client = await guarded.port.connect()
    text = publish(1, bearer("ck_live_x"))
    for _ in range(3):
        await client.send(text)
        assert (await client.answer()).status == 401
    await client.send(text * 2)
    assert [(await client.answer()).status for _ in range(2)] == [401] * 2
    assert guarded.port.context.audit._failed == {"127.0.0.1": 5}


async def test_requests_in_a_row_are_somebodys_until_the_key_is_revoked(guarded: Guarded):
    made = await guarded.key()
    text = publish(1, bearer(made.text))
    client = await guarded.port.connect()
    await client.send(text * 10)
    assert [(await client.answer()).status for _ in range(10)] == [200] * 10
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    other = publish(1, bearer((await guarded.key()).text))
    await client.send(text * 2 + other + text)
    assert [(await client.answer()).status for _ in range(4)] == [401, 401, 200, 401]


async def test_an_idle_connection_keeps_no_credential(guarded: Guarded):
    made = await guarded.key()
    client = await guarded.port.connect()
    await client.send(publish(1, bearer(made.text)))
    await client.answer()
    (connection,) = guarded.port.context.connections
    assert made.text.encode() in connection._framer._last_raw
    guarded.port.sweep(1.0, 2.0)
    assert connection._framer._last_raw == b""
    await client.send(publish(1, bearer(made.text)))
    assert (await client.answer()).status == 200
