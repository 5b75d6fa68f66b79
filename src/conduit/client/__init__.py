"""The client: publish, subscribe, control.

async with AsyncConduit("http://127.0.0.1:8080") as client:
    receipt = await client.publish("orders", {"id": 42})
    async with client.subscribe("orders", "billing") as stream:
        async for delivery in stream:
            ...
            await delivery.ack()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conduit.client.client import AsyncConduit, message
from conduit.client.delivery import Delivery, GapEvent
from conduit.client.faults import (
    ApiError,
    BadAnswer,
    ClientError,
    ConnectionFailed,
    UnreadablePayload,
)
from conduit.client.log import keep_secrets_out
from conduit.client.models import (
    DeadLetter,
    DeadLetterFilter,
    RedriveJob,
    Subscription,
    Topic,
)
from conduit.protocol.frames import StartAt, StartPosition
from conduit.protocol.records import (
    GapAnswer,
    Moved,
    Receipt,
    Retention,
    SubscriptionCreated,
    TopicProgress,
)

if TYPE_CHECKING:
    from conduit.client.stream import Stream

keep_secrets_out()

__all__ = [
    "ApiError",
    "AsyncConduit",
    "BadAnswer",
    "ClientError",
    "ConnectionFailed",
    "DeadLetter",
    "DeadLetterFilter",
    "Delivery",
    "GapAnswer",
    "GapEvent",
    "Moved",
    "Receipt",
    "RedriveJob",
    "Retention",
    "StartAt",
    "StartPosition",
    "Stream",
    "Subscription",
    "SubscriptionCreated",
    "Topic",
    "TopicProgress",
    "UnreadablePayload",
    "message",
]


def __getattr__(name: str) -> object:
    # Loaded when it is asked for: with it comes websockets, which who only publishes does without.
    if name == "Stream":
        from conduit.client.stream import Stream

        return Stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
