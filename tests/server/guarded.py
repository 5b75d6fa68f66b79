"""A port where everybody has to say who he is, with a few keys, and a wall clock that is moved by hand."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from conduit.broker.waiting import Slots
from conduit.grants import Grant
from conduit.limits import NO_LIMITS
from conduit.server.context import Context
from conduit.server.rest.api import create_api
from conduit.tenancy.accounts import Accounts, KeySpec, WithSecret
from conduit.tenancy.opening import Tenancy
from conduit.tenancy.page_sessions import PageSessions
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry
from conduit.tenancy.ticketing import Ticketing
from conduit.tenancy.tickets import Tickets
from conduit.tenancy.tokens import Tokens
from conduit.tenancy.verifier import Verifier
from tests.server.peer import ANSWER, REQUEST, TEXT, frame
from tests.server.port import Client, Port, open_port, request
from tests.support.secrets import register
from tests.tenancy.registered import OPERATOR, PEPPER

DEFAULT_KEY = "a-default-key-of-somebody"
register(DEFAULT_KEY)
WHOLE = tuple(Grant(scope=scope) for scope in ("publish", "subscribe", "manage"))


class Guarded(NamedTuple):
    port: Port
    registry: Registry
    accounts: Accounts

    async def key(self, *grants: Grant, by: Principal = OPERATOR, **spec: Any) -> WithSecret:
        made = await self.accounts.create_key(by, KeySpec("a key", grants or WHOLE, **spec))
        register(made.text)
        return made

    async def operator(self) -> WithSecret:
        return await self.key(Grant(scope="admin"))

    async def tenant(self, name: str) -> Principal:
        """A new tenant, and its manager."""
        await self.accounts.create_tenant(name, NO_LIMITS)
        return Principal(name, f"key:{name}", WHOLE)

    async def ask(self, method: str, path: str, key: str = "", body: Any = None, *more: str) -> Any:
        """One request on a connection of its own."""
        client = await self.port.connect()
        headers = (bearer(key), *more) if key else more
        content = None if body is None else json.dumps(body).encode()
        await client.send(request(method, path, content, *headers))
        return await client.answer()

    async def socket(self, key: str = "", path: str = "/ws") -> Client:
        """A WebSocket, signed in by its upgrade if there is a key."""
        client = await self.port.connect()
        asked = REQUEST.replace(b"GET / ", f"GET {path} ".encode(), 1)
        asked = asked.replace(b"GET /ws ", f"GET {path} ".encode(), 1)
        if key:
            asked = asked.replace(b"\r\n\r\n", f"\r\n{bearer(key)}\r\n\r\n".encode())
        await client.send(asked)
        await client.reader.readexactly(len(ANSWER))
        return client

    def check(self, now: float) -> None:
        """The sweep comes to all sessions."""
        for session in tuple(self.port.context.sessions):
            session.check(now)


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def said(**fields: object) -> bytes:
    """A frame."""
    return frame(TEXT, json.dumps(fields).encode())


async def heard(client: Client) -> dict[str, Any]:
    """The next text frame of the server."""
    _, length = await client.reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await client.reader.readexactly(2), "big")
    return json.loads(await client.reader.readexactly(length))


async def closed(client: Client) -> int:
    """The code of the close frame, which is the next one."""
    first, length = await client.reader.readexactly(2)
    assert first == 0x88
    body = await client.reader.readexactly(length)
    return int.from_bytes(body[:2], "big")


@asynccontextmanager
async def open_guarded(**limits: Any) -> AsyncIterator[Guarded]:
    """A port with the application, where keys are asked for."""

    def make_app(context: Context) -> Any:
        return create_api(context)

    async with open_port(make_app, **limits) as port:
        clock = port.broker.clock
        meters = port.broker.allowances
        registry = Registry(port.store, clock, PEPPER, default_key=DEFAULT_KEY, meters=meters)
        await registry.refresh()
        accounts = Accounts(port.store, registry, clock, PEPPER, secrets.choice)
        tokens = Tokens(PEPPER, 86_400)
        registry.tokens = verifier = Verifier(registry, tokens)
        pages = PageSessions(registry, clock, PEPPER)
        tickets = Tickets(port.store, PEPPER)
        ticketing = Ticketing(registry, verifier, tickets, pages, clock, Slots(2))
        port.context.require(Tenancy(registry, accounts, tokens, ticketing, pages))
        yield Guarded(port, registry, accounts)
