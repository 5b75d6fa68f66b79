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
    NoToken,
    UnreadablePayload,
)
from conduit.client.log import keep_secrets_out
from conduit.client.models import (
    AuditEntry,
    DeadLetter,
    DeadLetterFilter,
    DeadLetterJob,
    DeadLetterJobs,
    DeliveryState,
    Key,
    MessageDetail,
    MessagePage,
    Node,
    Route,
    StoredMessage,
    Subscription,
    Tenant,
    Topic,
)
from conduit.grants import Grant
from conduit.limits import TenantLimits
from conduit.protocol.draining import NodeDrain
from conduit.protocol.frames import StartAt, StartPosition
from conduit.protocol.job_records import LettersMeant
from conduit.protocol.node_records import (
    NodeLink,
    NodeRates,
    RingAnswer,
    RingNode,
    SubscriptionRoute,
    TopicNode,
    TopicRoute,
)
from conduit.protocol.records import (
    DeadLetterGroup,
    GapAnswer,
    KeyCreated,
    Moved,
    Receipt,
    Retention,
    SubscriptionCreated,
    TicketAnswer,
    TokenAnswer,
    TopicMove,
    TopicProgress,
    WhoAmI,
)
from conduit.protocol.subscriber_records import SubscriberAnswer, SubscribersAnswer

if TYPE_CHECKING:
    from conduit.client.stream import Stream

keep_secrets_out()

__all__ = [
    "ApiError",
    "AsyncConduit",
    "AuditEntry",
    "BadAnswer",
    "ClientError",
    "ConnectionFailed",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterGroup",
    "DeadLetterJob",
    "DeadLetterJobs",
    "Delivery",
    "DeliveryState",
    "GapAnswer",
    "GapEvent",
    "Grant",
    "Key",
    "KeyCreated",
    "LettersMeant",
    "MessageDetail",
    "MessagePage",
    "Moved",
    "NoToken",
    "Node",
    "NodeDrain",
    "NodeLink",
    "NodeRates",
    "Receipt",
    "Retention",
    "RingAnswer",
    "RingNode",
    "Route",
    "StartAt",
    "StartPosition",
    "StoredMessage",
    "Stream",
    "SubscriberAnswer",
    "SubscribersAnswer",
    "Subscription",
    "SubscriptionCreated",
    "SubscriptionRoute",
    "Tenant",
    "TenantLimits",
    "TicketAnswer",
    "TokenAnswer",
    "Topic",
    "TopicMove",
    "TopicNode",
    "TopicProgress",
    "TopicRoute",
    "UnreadablePayload",
    "WhoAmI",
    "message",
]


def __getattr__(name: str) -> object:
    # Loaded when it is asked for: with it comes websockets, which who only publishes does without.
    if name == "Stream":
        from conduit.client.stream import Stream

        return Stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
