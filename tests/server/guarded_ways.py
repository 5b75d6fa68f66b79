"""Ways to use a connection where everybody has to say who he is, and to be refused there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from conduit.grants import Grant
from tests.server.guarded import Guarded, bearer
from tests.server.peer import CLOSE, REQUEST, frame
from tests.server.port import TOPIC, publish, request
from tests.server.ways import Raw, http, opened

# Spelled as a key is, and nobody's.
WRONG = "ck_live_00000000_00000000000000000000000000000000" + "3bTOy8"
NOTHING = "0190aaaa-0000-7000-8000-000000000000"

GuardedWay = Callable[[Guarded, str], Awaitable[None]]
GUARDED_WAYS: list[GuardedWay] = []


def way(use: GuardedWay) -> GuardedWay:
    """A way to use a connection, for somebody who has a key with all rights."""
    GUARDED_WAYS.append(use)
    return use


async def _signed(guarded: Guarded, key: str) -> Raw:
    raw = await opened(guarded.port)
    await raw.tell(type="auth", token=key)
    await raw.hear("authenticated")
    return raw


async def _upgraded(guarded: Guarded, key: str, path: str = "/ws") -> Raw:
    asked = REQUEST.replace(b"GET /ws ", f"GET {path} ".encode())
    if key:
        asked = asked.replace(b"\r\n\r\n", f"\r\n{bearer(key)}\r\n\r\n".encode())
    raw = await http(guarded.port, asked)
    await raw.answer()
    return raw


async def _closed(raw: Raw) -> None:
    """The server says why, and closes."""
    await raw.hear("error")
    await raw.send(frame(CLOSE, b"\x03\xe8"))
    await raw.read_to_the_end()


# HTTP ---------------------------------------------------------------------------------------------


@way
async def http_with_a_key(guarded: Guarded, key: str) -> None:
    raw = await http(guarded.port, publish(1, bearer(key)))
    await raw.answer()
    await raw.send(request("GET", "/api/whoami", None, bearer(key)))
    await raw.answer()
    raw.socket.close()


@way
async def http_with_a_wrong_key(guarded: Guarded, _key: str) -> None:
    raw = await http(guarded.port, request("GET", "/api/whoami", None, bearer(WRONG)))
    await raw.answer()
    await raw.send(publish(1, bearer(WRONG)))
    await raw.answer()
    raw.socket.close()


@way
async def http_with_a_wrong_key_and_a_body_that_comes_later(guarded: Guarded, _key: str) -> None:
    raw = await http(guarded.port, publish("x" * 10_000, bearer(WRONG))[:1_000])
    await raw.read_to_the_end()


@way
async def http_without_a_key(guarded: Guarded, _key: str) -> None:
    raw = await http(guarded.port, request("GET", "/api/topics"))
    await raw.answer()
    raw.socket.close()


@way
async def http_of_an_operator_for_a_tenant_that_is_none(guarded: Guarded, _key: str) -> None:
    key = (await guarded.operator()).text
    named = request("GET", "/api/topics", None, bearer(key), "X-Conduit-Tenant: nothing")
    raw = await http(guarded.port, named)
    await raw.answer()
    raw.socket.close()


@way
async def http_with_two_keys(guarded: Guarded, key: str) -> None:
    raw = await http(guarded.port, publish(1, bearer(key), f"X-API-Key: {key}"))
    await raw.read_to_the_end()


# WebSockets ---------------------------------------------------------------------------------------


@way
async def websocket_signed_in_by_its_upgrade(guarded: Guarded, key: str) -> None:
    raw = await _upgraded(guarded, key)
    await raw.tell(type="subscribe", topic=TOPIC)
    await raw.hear("subscribed")
    raw.reset()


@way
async def websocket_signed_in_by_a_frame(guarded: Guarded, key: str) -> None:
    raw = await _signed(guarded, key)
    await raw.tell(type="subscribe", topic=TOPIC)
    await raw.hear("subscribed")
    await raw.tell(type="auth", token=key)
    await raw.hear("authenticated")
    await raw.tell(type="auth", token=WRONG)
    await raw.hear("error")
    raw.reset()


@way
async def websocket_with_a_wrong_key_in_its_upgrade(guarded: Guarded, _key: str) -> None:
    raw = await _upgraded(guarded, WRONG)
    raw.socket.close()


@way
async def websocket_with_a_wrong_key_in_a_frame(guarded: Guarded, _key: str) -> None:
    raw = await opened(guarded.port)
    await raw.tell(type="auth", token=WRONG)
    await _closed(raw)


@way
async def websocket_that_begins_with_something_else(guarded: Guarded, _key: str) -> None:
    raw = await opened(guarded.port)
    await raw.tell(type="heartbeat")
    await _closed(raw)


@way
async def websocket_that_says_nothing(guarded: Guarded, _key: str) -> None:
    raw = await opened(guarded.port)
    raw.reset()


@way
async def websocket_that_is_closed_at_once(guarded: Guarded, _key: str) -> None:
    raw = await opened(guarded.port)
    await raw.send(frame(CLOSE, b"\x03\xe8"))
    await raw.read_to_the_end()


@way
async def websocket_with_a_ticket_that_is_none(guarded: Guarded, _key: str) -> None:
    raw = await _upgraded(guarded, "", "/ws?ticket=ct_nothing")
    await _closed(raw)


@way
async def websocket_whose_key_is_revoked(guarded: Guarded, _key: str) -> None:
    made = await guarded.key()
    raw = await _signed(guarded, made.text)
    await raw.tell(type="subscribe", topic=TOPIC)
    await raw.hear("subscribed")
    by = guarded.registry.authenticate(made.text.encode())
    await guarded.accounts.revoke_key(by, made.record.key_id)
    guarded.check(guarded.port.context.now())
    await _closed(raw)


@way
async def websocket_that_may_not(guarded: Guarded, _key: str) -> None:
    made = await guarded.key(Grant(scope="publish", topics=("x",)))
    raw = await _signed(guarded, made.text)
    await raw.tell(type="subscribe", topic=TOPIC, ref="s")
    await raw.hear("error")
    await raw.tell(type="publish", topic=TOPIC, payload=1, ref="p")
    await raw.hear("error")
    await raw.tell(type="ack", message_id=NOTHING, ref="a")
    await raw.hear("error")
    raw.reset()
