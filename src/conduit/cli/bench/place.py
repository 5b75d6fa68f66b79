"""Where a run goes, and the topic that it uses: its own, which is deleted again, or one that stays."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import click

from conduit.cli.bench.options import BenchOptions
from conduit.cli.output import note
from conduit.cli.server import Target as Told
from conduit.client import ApiError, AsyncConduit, ClientError
from conduit.client.place import find
from conduit.errors import Conflict
from conduit.load.wire import Target

PREFIX = "bench."
# For the topic to be deleted, also after Ctrl-C.
DELETE_WITHIN_S = 10.0


def target(told: Told, *, allow_remote: bool) -> Target:
    """Where, and as whom. Raises click.UsageError for another machine, unless that is allowed, and behind a
    proxy, whose work would be measured."""
    place = find(told.url)
    parts = urlsplit(place.url)
    host = parts.hostname or ""
    if not (_is_loopback(host) or allow_remote):
        raise click.UsageError(
            f"{place.shown} is not this machine, and a benchmark is load that others notice: "
            "--allow-remote, if it is yours"
        )
    if place.proxy is not None:
        raise click.UsageError(
            f"the environment names a proxy on the way to {host}, which would be measured; put the host into "
            "no_proxy"
        )
    is_tls = parts.scheme == "https"
    headers = "" if told.api_key is None else f"Authorization: Bearer {told.api_key}\r\n"
    if told.tenant is not None:
        headers += f"X-Conduit-Tenant: {told.tenant}\r\n"
    return Target(parts.port or (443 if is_tls else 80), host, parts.path, headers, is_tls)


def _is_loopback(host: str) -> bool:
    """Not any name: who answers to it is another's decision."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def topic_for(client: AsyncConduit, options: BenchOptions) -> AsyncIterator[str]:
    """The topic of the run. One of its own is deleted at the end, however that comes; what could not be is
    said. Raises ApiError if the one that was named does not exist."""
    if options.topic is not None:
        await client.topics.get(options.topic)
        yield options.topic
        return
    name = f"{PREFIX}{uuid4().hex[:12]}"
    await client.topics.create(name)
    try:
        yield name
    finally:
        await _delete(client, name)


@asynccontextmanager
async def subscription_for(client: AsyncConduit, options: BenchOptions) -> AsyncIterator[None]:
    """Have the subscription be new, and delete it at the end. Raises Conflict if it exists: what it has for
    its consumers would be acked."""
    name = options.subscription
    if name is None:
        yield
        return
    try:
        await client.subscriptions.get(name)
    except ApiError as error:
        if error.code != "subscription_not_found":
            raise
    else:
        raise Conflict(
            f"subscription {name} exists; a run would ack what it has for its consumers: name a new one",
            code="subscription_exists",
        )
    try:
        yield
    finally:
        await _delete(client, name, is_subscription=True)


async def _delete(client: AsyncConduit, name: str, *, is_subscription: bool = False) -> None:
    what = "subscription" if is_subscription else "topic"
    try:
        async with asyncio.timeout(DELETE_WITHIN_S):
            await (client.subscriptions if is_subscription else client.topics).delete(name)
    except (ClientError, TimeoutError) as error:
        if isinstance(error, ApiError) and error.code in (
            "topic_not_found",
            "subscription_not_found",
        ):
            return
        why = error.detail if isinstance(error, ClientError) else "no answer"
        note(f"{what} {name} could not be deleted: {why}; `conduit {what} rm {name}` deletes it")
