"""Tokens made by hand, right and wrong; and an identity provider that publishes its keys."""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from conduit.errors import Unauthenticated
from conduit.identity_provider import IdentityProvider
from conduit.tenancy.principal import NOT_KNOWN
from conduit.tenancy.signatures import sign
from tests.support.wait import DEADLINE_S

NOW_MS = 1_800_000_000_250
NOW_S = NOW_MS / 1_000


def encoded(part: bytes | str | dict[str, Any]) -> str:
    """One part of a token: bytes and text as they are, else as JSON."""
    if isinstance(part, dict):
        part = json.dumps(part)
    if isinstance(part, str):
        part = part.encode()
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def signed(header, payload, by: Callable[[bytes], bytes]) -> str:
    """A token with these parts, whatever they are."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(by(text.encode()))}"


def by_secret(secret: bytes, algorithm: str = "sha256") -> Callable[[bytes], bytes]:
    return lambda text: hmac.digest(secret, text, algorithm)


def by_key(algorithm: str, key) -> Callable[[bytes], bytes]:
    return lambda text: sign(algorithm, key, text)


def refuses(verify: Callable[[], object], token: str) -> None:
    """It is refused as every other is, and nothing that is raised repeats it."""
    with pytest.raises(Unauthenticated) as raised:
        verify()
    error: BaseException | None = raised.value
    assert raised.value.detail == NOT_KNOWN
    assert raised.value.field is None
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    while error is not None:
        # Its own words are no token, although a token may be one of them.
        told = f"{error!r} {error}".replace(NOT_KNOWN, "").replace(Unauthenticated.__name__, "")
        assert not [part for part in token.split(".") if len(part) > 8 and part in told]
        error = error.__context__


class Provider:
    """What a local server answers, and who asked."""

    def __init__(self) -> None:
        self.port = 0
        self.status = "200 OK"
        self.headers: list[str] = []
        self.body = b'{"keys": []}'
        self.asked: list[bytes] = []
        self.is_silent = False

    def publish(self, *keys) -> None:
        """From now on these are its keys: joserfc's, or JWKs."""
        jwks = [key if isinstance(key, dict) else public(key) for key in keys]
        self.body = json.dumps({"keys": jwks}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        if self.is_silent:
            # Until the other side gives up.
            await reader.read()
        head = [
            f"HTTP/1.1 {self.status}",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
            *self.headers,
        ]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + self.body)
        await writer.drain()


def public(key) -> dict[str, Any]:
    return {**key.as_dict(private=False), "use": "sig"}


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server on this machine, all of whose connections are over at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with asyncio.timeout(DEADLINE_S):
        server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def identity_provider(context: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """One that listens."""
    provider = Provider()
    async with serving(provider.answer, context) as port:
        provider.port = port
        yield provider


def described(provider: Provider, **changes) -> IdentityProvider:
    """As it is set."""
    given = {
        "jwks_url": f"http://127.0.0.1:{provider.port}/jwks",
        "issuer": "https://id.example/",
        "audience": "conduit-api",
        "algorithms": ("RS256", "ES256", "EdDSA"),
        "tenant_claim": "conduit_tenant",
        "scopes_claim": "conduit_scopes",
        "max_age_s": 86_400.0,
    }
    return IdentityProvider(**given | changes)


class HandClock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def fact(is_true: Callable[[], object]) -> None:
    """Wait until it is one."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if is_true():
                return
            await asyncio.sleep(0.005)


async def refuses_soon(answer: Awaitable[object], ticket: str) -> None:
    """As `refuses`, for what has to be waited for."""
    with pytest.raises(Unauthenticated) as raised:
        await answer
    assert raised.value.detail == NOT_KNOWN
    assert not ticket or ticket not in repr(raised.value)
