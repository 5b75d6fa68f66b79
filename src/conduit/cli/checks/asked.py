"""A running server, or the cluster that it is a node of: what it says when it is asked. Eight requests at
most."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from conduit.errors import ConduitError

if TYPE_CHECKING:
    from conduit.client import AsyncConduit, Node, WhoAmI

T = TypeVar("T")

ANSWER_TIMEOUT_S = 6.0
# Nodes that are looked at.
NODES_MAX_COUNT = 100
# The last two minutes.
HISTORY_COUNT = 24
SAMPLE_S: Final = 5


class Answered(msgspec.Struct, frozen=True):
    """What the server said, each or why not."""

    url: str
    health: dict[str, Any] | ConduitError
    ready: ConduitError | None
    who: WhoAmI | ConduitError
    skew_s: float | None
    """By so much the server's clock is ahead; None: it does not say the time."""
    took_s: float
    stats: dict[str, Any] | ConduitError
    history: dict[str, Any] | ConduitError
    attention: dict[str, Any] | ConduitError
    nodes: list[Node] | ConduitError
    certificate: datetime | ConduitError | None
    """When that of https ends; None without."""
    version: str
    """Of this command."""
    has_key: bool = False
    """Whether it was asked with a key or a token."""


async def look(client: AsyncConduit, version: str, *, has_key: bool) -> Answered:
    """Ask everything at once. Raises nothing but what cancels it."""

    async def when() -> tuple[WhoAmI, float | None, float]:
        before = datetime.now(UTC).timestamp()
        who = await client.whoami()
        after = datetime.now(UTC).timestamp()
        if who.now is None:
            return who, None, after - before
        told = datetime.fromisoformat(who.now).timestamp()
        return who, told - (before + after) / 2, after - before

    async def every_node() -> list[Node]:
        found: list[Node] = []
        async for node in client.nodes.find():
            found.append(node)
            # One more: that there are more is known by it.
            if len(found) > NODES_MAX_COUNT:
                break
        return found

    async def history() -> dict[str, Any]:
        return await client.figures.history(interval_s=SAMPLE_S, limit=HISTORY_COUNT)

    async with asyncio.TaskGroup() as group:
        who = group.create_task(_answer(when))
        health = group.create_task(_answer(client.health))
        ready = group.create_task(_answer(client.check_ready))
        stats = group.create_task(_answer(client.stats))
        lately = group.create_task(_answer(history))
        attentive = group.create_task(_answer(client.figures.attention))
        nodes = group.create_task(_answer(every_node))
        certificate = group.create_task(_answer(lambda: _certificate(client.url)))
    told = who.result()
    identity, skew_s, took_s = (told, None, 0.0) if isinstance(told, ConduitError) else told
    return Answered(
        client.url,
        health.result(),
        ready.result(),
        identity,
        skew_s,
        took_s,
        stats.result(),
        lately.result(),
        attentive.result(),
        nodes.result(),
        certificate.result(),
        version,
        has_key,
    )


async def _answer(ask: Callable[[], Awaitable[T]]) -> T | ConduitError:
    from conduit.client import ConnectionFailed

    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await ask()
    except TimeoutError:
        return ConnectionFailed(f"no answer within {ANSWER_TIMEOUT_S:g} s")
    except ConduitError as error:
        return error


async def _certificate(url: str) -> datetime | None:
    """When the server's certificate ends. Raises ConnectionFailed."""
    from conduit.client import ConnectionFailed
    from conduit.client.place import find

    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    if find(url).proxy is not None:
        raise ConnectionFailed("the way to the server is through a proxy")
    try:
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or 443, ssl=ssl.create_default_context()
        )
    except (OSError, ssl.SSLError) as error:
        raise ConnectionFailed(str(error)) from error
    del reader
    found = writer.get_extra_info("peercert") or {}
    writer.transport.abort()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
