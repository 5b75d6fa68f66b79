"""Who comes with what another server has made just now, on a port that shares its store."""

import asyncio
import json
import secrets

import pytest

from conduit.broker.clock import SystemClock
from conduit.errors import StoreUnavailable
from conduit.grants import Grant
from conduit.limits import NO_LIMITS
from conduit.protocol.codes import CLOSE_UNAUTHENTICATED
from conduit.server.gate import Gate
from conduit.tenancy.accounts import Accounts, KeySpec
from conduit.tenancy.catching_up import CatchingUp
from conduit.tenancy.registry import Registry
from tests.server.guarded import WHOLE, Guarded, bearer, closed, heard, open_guarded, said
from tests.server.port import TOPIC, request
from tests.support.access import spelled
from tests.support.secrets import register
from tests.support.wait import until_true
from tests.tenancy.registered import OPERATOR, PEPPER

PUBLISH = {"topic": TOPIC, "payload": 1}


class Elsewhere:
    """Another server on the store of a port."""

    def __init__(self, guarded: Guarded) -> None:
        clock = SystemClock()
        self.registry = Registry(guarded.port.store, clock, PEPPER)
        self.accounts = Accounts(guarded.port.store, self.registry, clock, PEPPER, secrets.choice)

    async def key(self, *grants: Grant, by=OPERATOR) -> str:
        made = await self.accounts.create_key(by, KeySpec("a key", grants or WHOLE))
        register(made.text)
        return made.text


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        guarded.registry.catching_up.may_be_shared = lambda: True
        yield guarded
        await guarded.registry.catching_up.close()


@pytest.fixture
def elsewhere(guarded) -> Elsewhere:
    return Elsewhere(guarded)


@pytest.fixture
def gate_of_looks(guarded):
    """Holds up the store's answer to a look; `asked` is set when it is asked."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def refresh() -> None:
        asked.set()
        await gate.wait()
        await guarded.registry.refresh()

    guarded.registry.catching_up = CatchingUp(refresh)
    guarded.registry.catching_up.may_be_shared = lambda: True
    gate.asked = asked
    return gate


def wrong(key: str) -> str:
    """A key that is spelled as one is, and has never been made."""
    return spelled("zzzzzzzz", key[17:49])


async def test_a_key_that_was_made_elsewhere_is_good_at_once(guarded: Guarded, elsewhere):
    for method, path, body, status in (
        ("POST", "/api/publish", PUBLISH, 200),
        ("GET", "/api/topics", None, 200),
    ):
        answer = await guarded.ask(method, path, await elsewhere.key(), body)
        assert answer.status == status


async def test_a_rotated_secret_and_a_tenant_are_known_at_once(guarded: Guarded, elsewhere):
    made = await guarded.key()
    again = await _rotated(elsewhere, made.record.key_id)
    assert (await guarded.ask("GET", "/api/topics", again)).status == 200
    operator = (await guarded.operator()).text
    await elsewhere.accounts.create_tenant("acme", NO_LIMITS)
    acting = await guarded.ask("GET", "/api/topics", operator, None, "X-Conduit-Tenant: acme")
    assert acting.status == 200
    await elsewhere.accounts.create_tenant("blue", NO_LIMITS)
    assert (await guarded.ask("GET", "/api/tenants/blue", operator)).status == 200
    nobody = await guarded.ask("GET", "/api/topics", operator, None, "X-Conduit-Tenant: red")
    assert (nobody.status, nobody.json["code"]) == (404, "tenant_not_found")


async def _rotated(elsewhere: Elsewhere, key_id: str) -> str:
    await elsewhere.registry.refresh()
    again = await elsewhere.accounts.rotate_key(OPERATOR, key_id, 60)
    register(again.text)
    return again.text


async def test_a_key_is_found_and_ended_where_it_was_not_made(guarded: Guarded, elsewhere):
    mine = (await guarded.key()).text
    key_id = (await elsewhere.key())[8:16]
    assert (await guarded.ask("GET", f"/api/keys/{key_id}", mine)).status == 200
    key_id = (await elsewhere.key())[8:16]
    assert (await guarded.ask("DELETE", f"/api/keys/{key_id}", mine)).status == 200
    assert (await guarded.ask("GET", "/api/keys/zzzzzzzz", mine)).status == 404


async def test_what_is_pipelined_is_answered_in_its_order(guarded: Guarded, elsewhere):
    body = json.dumps(PUBLISH).encode()
    known = request("POST", "/api/publish", body, bearer((await guarded.key()).text))
    key = await elsewhere.key()
    new = request("POST", "/api/publish", body, bearer(key))
    bad = request("POST", "/api/publish", body, bearer(wrong(key)))
    client = await guarded.port.connect()
    await client.send(known + new + known + bad + known)
    statuses = [(await client.answer()).status for _ in range(5)]
    assert statuses == [200, 200, 200, 401, 200]


async def test_a_body_that_comes_later_is_waited_for(guarded: Guarded, elsewhere):
    body = json.dumps({"topic": TOPIC, "payload": "x" * 30_000}).encode()
    asked = request("POST", "/api/publish", body, bearer(await elsewhere.key()))
    client = await guarded.port.connect()
    await client.send(asked[:-20_000], asked[-20_000:])
    assert (await client.answer()).status == 200


async def test_who_sends_no_more_has_an_answer_all_the_same(
    guarded: Guarded, elsewhere, gate_of_looks
):
    body = json.dumps(PUBLISH).encode()
    parts = f"{len(body):x}\r\n{body.decode()}\r\n0\r\n\r\n".encode()
    # As it comes, in parts, and not all of it.
    for is_chunked, lacking, status in ((False, 0, b"200"), (True, 0, b"200"), (False, 3, b"")):
        asked = request("POST", "/api/publish", body, bearer(await elsewhere.key()))
        if is_chunked:
            length = f"Content-Length: {len(body)}".encode()
            asked = asked.replace(length, b"Transfer-Encoding: chunked")[: -len(body)] + parts
        gate_of_looks.clear()
        gate_of_looks.asked.clear()
        client = await guarded.port.connect()
        await client.send(asked[: len(asked) - lacking])
        client.writer.write_eof()
        await gate_of_looks.asked.wait()
        gate_of_looks.set()
        assert (await client.rest())[9:12] == status


async def test_who_has_gone_meanwhile_leaves_nothing(guarded: Guarded, elsewhere, gate_of_looks):
    client = await guarded.port.connect()
    await client.send(request("GET", "/api/topics", None, bearer(await elsewhere.key())))
    await gate_of_looks.asked.wait()
    client.writer.transport.abort()
    await until_true(lambda: not guarded.port.context.connections)
    gate_of_looks.set()
    await asyncio.sleep(0)


async def test_the_answer_is_the_same_when_the_store_does_not_say(guarded: Guarded, elsewhere):
    async def away() -> None:
        raise StoreUnavailable("away")

    guarded.registry.catching_up = CatchingUp(away)
    guarded.registry.catching_up.may_be_shared = lambda: True
    answer = await guarded.ask("GET", "/api/topics", await elsewhere.key())
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def test_what_is_wrong_with_a_key_makes_no_difference(guarded: Guarded, elsewhere):
    looked = []
    refresh = guarded.registry.refresh

    async def counted() -> None:
        looked.append(1)
        await refresh()

    guarded.registry.catching_up = CatchingUp(counted)
    guarded.registry.catching_up.may_be_shared = lambda: True
    revoked = await guarded.key()
    await guarded.accounts.revoke_key(OPERATOR, revoked.record.key_id)
    good = await guarded.key()
    other = await guarded.key()
    mixed = spelled(good.record.key_id, other.text[17:49])
    for number, key in enumerate((wrong(good.text), revoked.text, mixed, "eyJ.x.y"), 1):
        answer = await guarded.ask("GET", "/api/topics", key)
        assert (answer.status, answer.json["detail"]) == (
            401,
            "the key or token is missing, or is not good",
        )
        assert len(looked) == number
    # Neither what is no key, nor what everybody may ask, nor what is known.
    assert (await guarded.ask("GET", "/api/topics", "whatever")).status == 401
    assert (await guarded.ask("GET", "/health", wrong(good.text))).status == 200
    assert (await guarded.ask("GET", "/api/topics", good.text)).status == 200
    assert len(looked) == 4


async def test_a_failed_sign_in_is_counted_once(guarded: Guarded):
    failed = []

    class Counted:
        def sign_in_failed(self, address: str) -> None:
            failed.append(address)

    before = guarded.port.context.gate
    guarded.port.context.gate = Gate(guarded.registry, Counted(), before._ticketing)
    await guarded.ask("GET", "/api/topics", wrong((await guarded.key()).text))
    assert len(failed) == 1


# WebSockets ---------------------------------------------------------------------------------------


async def test_a_websocket_signs_in_with_it(guarded: Guarded, elsewhere):
    upgraded = await guarded.socket(await elsewhere.key())
    client = await guarded.socket()
    auth = said(type="auth", token=await elsewhere.key(), ref="a")
    await client.send(auth + said(type="heartbeat"))
    welcome = await heard(client)
    assert (welcome["type"], welcome["ref"]) == ("authenticated", "a")
    for each in (client, upgraded):
        if each is upgraded:
            await each.send(said(type="heartbeat"))
        assert (await heard(each))["type"] == "heartbeat_ack"
    assert not len(guarded.port.context.unsigned)


async def test_a_websocket_with_a_key_that_nobody_has_is_refused_as_ever(guarded: Guarded):
    client = await guarded.socket()
    bad = wrong((await guarded.key()).text)
    await client.send(said(type="auth", token=bad, ref="a") + said(type="heartbeat"))
    error = await heard(client)
    assert (error["type"], error["code"], error["ref"]) == ("error", "unauthenticated", "a")
    assert await closed(client) == CLOSE_UNAUTHENTICATED


async def test_a_ticket_of_a_key_that_was_made_elsewhere_is_good(guarded: Guarded, elsewhere):
    ticketing = guarded.port.context.tenancy.ticketing
    key = await elsewhere.key()
    caller = elsewhere.registry.authenticate(key.encode())
    ticket, _ = await ticketing.give(caller)
    client = await guarded.socket(path=f"/ws?ticket={ticket}")
    await client.send(said(type="heartbeat"))
    assert (await heard(client))["type"] == "heartbeat_ack"
