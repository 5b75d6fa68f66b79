"""What is recorded of a traced message: a span, its kinds, and how its attributes are called.

The names follow the semantic conventions for messaging of OpenTelemetry 1.30 and later, which may still
change: they are here and nowhere else. No attribute has a payload, a key or a header in it.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from conduit.core.trace_context import TraceContext

SYSTEM = "messaging.system"
SYSTEM_NAME = "conduit"
TOPIC = "messaging.destination.name"
SUBSCRIPTION = "messaging.destination.subscription.name"
MESSAGE_ID = "messaging.message.id"
BODY_BYTES = "messaging.message.body.size"
BATCH_COUNT = "messaging.batch.message_count"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
ERROR = "error.type"
# What the conventions have no name for.
TENANT = "conduit.tenant"
SEQ = "conduit.message.seq"
IS_DUPLICATE = "conduit.publish.duplicate"
STORE = "conduit.store"
COMMIT_COUNT = "conduit.commit.message_count"
ATTEMPT = "conduit.delivery.attempt"
FAILURES = "conduit.delivery.failures"
SUBSCRIBER_COUNT = "conduit.delivery.subscriber_count"
OUTCOME = "conduit.delivery.outcome"
CAUSE = "conduit.dead_letter.cause"

Value = str | int | bool


class Kind(Enum):
    """What a span stands for, as viewers of traces tell them apart."""

    SERVER = "server"
    PRODUCER = "producer"
    INTERNAL = "internal"


class Operation(Enum):
    """What was done to a message: the name of a span, its kind, and its type by the conventions."""

    PUBLISH = ("publish", Kind.SERVER, "send")
    COMMIT = ("commit", Kind.INTERNAL, None)
    DELIVER = ("deliver", Kind.PRODUCER, "send")
    SETTLE = ("settle", Kind.INTERNAL, "settle")
    DEAD_LETTER = ("dead_letter", Kind.INTERNAL, None)

    def __init__(self, title: str, kind: Kind, type_: str | None) -> None:
        self.title = title
        self.kind = kind
        self.attributes: dict[str, Value] = {SYSTEM: SYSTEM_NAME, OPERATION: title}
        if type_ is not None:
            self.attributes[OPERATION_TYPE] = type_


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way of a message, when it is over. Times are nanoseconds since the epoch, UTC."""

    operation: Operation
    context: TraceContext
    parent: TraceContext | None
    """What it is a step of; None: it begins the trace."""
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    error: str | None = None
    """The code of the error that it ended with."""
