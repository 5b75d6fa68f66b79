"""AsyncConduit: publish, subscribe, control."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import msgspec

from conduit.client.access import Keys, Tenants, Tickets, Tokens, entries
from conduit.client.control import DeadLetters, Subscriptions, Topics
from conduit.client.credential import ApiKey, Credential
from conduit.client.delivery import OnGap, log_gap
from conduit.client.environment import found
from conduit.client.faults import ApiError, ConnectionFailed, NoToken
from conduit.client.figures import Figures
from conduit.client.messages import Messages
from conduit.client.models import AuditEntry
from conduit.client.nodes import Nodes
from conduit.client.place import DEFAULT_URL, find
from conduit.client.rest import Rest, address
from conduit.client.resume import Backoff
from conduit.client.starts import Start, start_spec
from conduit.client.text import encoded
from conduit.client.tracing import all_with_context, with_context
from conduit.names import check_pattern, check_subscription, check_topic
from conduit.protocol.frames import PublishBatchRequest, PublishRequest, Subscribe
from conduit.protocol.records import BatchAnswer, Receipt, WhoAmI

if TYPE_CHECKING:
    from conduit.client.stream import Stream

T = TypeVar("T")

# How long a publish is tried again: longer than a server takes to restart.
RETRY_S = 30.0

_log = logging.getLogger("conduit.client")
_dice = random.Random()


class SubscriptionSettings(TypedDict, total=False):
    """Settings of the `subscribe` frame; what is left out has the server's default. `max_lost` None:
    however often connections are lost with a message in flight, it comes again. `create` False: what
    does not exist is not made. `prefetch`: this stream has no more unsettled messages at once, whatever
    `max_in_flight` the subscription has."""

    order: Literal["publish", "strict"]
    max_in_flight: int
    ack_wait_ms: int
    max_attempts: int
    max_lost: int | None
    create: bool
    prefetch: int


class AsyncConduit:
    """A client of the server at `url`. The constructor does no I/O; use it as a context manager.

    `api_key` is an API key or a token. For tokens it may be a function, also an async one, that gives one
    which is good now: it is asked before each connection, before a token expires under an open stream, and
    when a token is refused. `tenant`: whom a key with the scope `admin` acts for. `propagate`: what is
    published carries the context of the span that is open in OpenTelemetry, if there is one, in its headers.

    `topics`, `messages`, `subscriptions`, `dead_letters`, `keys`, `tenants`, `tokens`, `tickets`, `nodes` and
    `figures` are the control endpoints. All methods raise ClientError or, for arguments that no server would
    take, InvalidRequest.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: ApiKey | None = None,
        tenant: str | None = None,
        retry_s: float = RETRY_S,
        propagate: bool = True,
    ) -> None:
        self._place = find(url)
        self.url = self._place.url
        self._credential = Credential(api_key, tenant)
        self._credential.check(self._place)
        self._retry_s = retry_s
        self._propagates = propagate
        self._rest = Rest(self._place, self._credential)
        self.topics = Topics(self._rest)
        self.messages = Messages(self._rest)
        self.subscriptions = Subscriptions(self._rest)
        self.dead_letters = DeadLetters(self._rest)
        self.keys = Keys(self._rest)
        self.tenants = Tenants(self._rest)
        self.tokens = Tokens(self._rest)
        self.tickets = Tickets(self._rest)
        self.nodes = Nodes(self._rest)
        self.figures = Figures(self._rest)

    @classmethod
    def from_environment(
        cls, *, tenant: str | None = None, retry_s: float = RETRY_S, propagate: bool = True
    ) -> AsyncConduit:
        """A client of the server that CONDUIT_URL names, with the key in CONDUIT_API_KEY, if they are set.
        They come together: a key of the environment goes to no address of the program's own."""
        url, api_key = found()
        url = url or DEFAULT_URL
        return cls(url, api_key=api_key, tenant=tenant, retry_s=retry_s, propagate=propagate)

    async def __aenter__(self) -> AsyncConduit:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._rest.close()

    # Publishing -----------------------------------------------------------------------------------

    async def publish(
        self,
        topic: str,
        payload: object,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Publish one message; the server has stored it when this returns.

        `payload` is anything that JSON can say, or `msgspec.Raw` with JSON text. A lost connection
        and a server that is not ready are tried again for `retry_s`; without an `idempotency_key`
        one is made, so that no try stores the message twice.
        """
        request = message(topic, payload, key=key, headers=headers, idempotency_key=idempotency_key)
        if self._propagates:
            request = with_context(request)
        return await self._patiently(lambda: self._rest.post(address("publish"), Receipt, request))

    async def publish_batch(self, messages: Sequence[PublishRequest]) -> list[Receipt]:
        """Publish many, made by `message`, in one commit, all or nothing; receipts in order."""
        messages = all_with_context(messages) if self._propagates else list(messages)
        batch = PublishBatchRequest(messages)
        where = address("publish", "batch")
        answer = await self._patiently(lambda: self._rest.post(where, BatchAnswer, batch))
        return answer.results

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call, and call again while that can help and there is time."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._retry_s
        backoff = Backoff()
        while True:
            try:
                return await call()
            except (ApiError, ConnectionFailed, NoToken) as error:
                delay_s = backoff.failed(_dice.random(), error.retry_after_s)
                if not error.retryable or loop.time() + delay_s > give_up_at:
                    raise
                _log.warning("%s; trying again in %.1f s", error.detail, delay_s)
            await asyncio.sleep(delay_s)

    # Subscribing ----------------------------------------------------------------------------------

    def subscribe(
        self,
        pattern: str,
        subscription: str | None = None,
        *,
        start: Start | None = None,
        ack: Literal["explicit", "auto"] | None = None,
        on_gap: OnGap = log_gap,
        **settings: Unpack[SubscriptionSettings],
    ) -> Stream:
        """The messages of a topic or pattern: `async with client.subscribe(…) as stream`.

        With `subscription` a durable one, created on first use, which then keeps its own settings. With
        `create` False entering the stream raises ApiError if the topic or the subscription does not exist.
        """
        # Not on top: who only publishes does without websockets.
        from conduit.client.stream import Stream

        check_pattern(pattern)
        if subscription is not None:
            check_subscription(subscription)
        spec = None if start is None else start_spec(start)
        frame = Subscribe(pattern, subscription, start=spec, ack=ack, **settings)
        return Stream(self._place, self._credential, frame, on_gap)

    # The server -----------------------------------------------------------------------------------

    async def whoami(self) -> WhoAmI:
        """Whom the key or token stands for, and what it may do."""
        return await self._rest.get(address("whoami"), WhoAmI)

    def audit(
        self,
        *,
        from_time: datetime | str | None = None,
        to_time: datetime | str | None = None,
        actor: str | None = None,
        action: str | None = None,
    ) -> AsyncIterator[AuditEntry]:
        """What was done, and tried, the newest first: `async for`. For keys that `manage` everything."""
        return entries(self._rest, from_time=from_time, to_time=to_time, actor=actor, action=action)

    async def stats(self, *, node: str | None = None) -> dict[str, Any]:
        """The figures of `GET /api/stats`: of all nodes, or of the one of this name. Raises ApiError
        `node_not_found`, `node_unreachable`."""
        return await self._rest.get(address("stats"), dict[str, Any], {"node": node})

    async def health(self) -> dict[str, Any]:
        """`GET /health`: the process answers. Says version, node and store."""
        return await self._rest.get("/health", dict[str, Any])

    async def check_ready(self) -> None:
        """`GET /health/ready`: returns if the server takes requests. Raises ClientError if not."""
        await self._rest.send("GET", "/health/ready")


def message(
    topic: str,
    payload: object,
    *,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    idempotency_key: str | None = None,
) -> PublishRequest:
    """One message of a batch. Raises InvalidRequest for a bad topic name, and for a payload that JSON
    cannot say."""
    check_topic(topic)
    raw = payload if isinstance(payload, msgspec.Raw) else msgspec.Raw(encoded(payload))
    return PublishRequest(topic, raw, key, headers, idempotency_key or uuid.uuid4().hex)
