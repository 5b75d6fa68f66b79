"""Frames as structs. Client frames are decoded strictly: an unknown field is an error.

Server frames of the hot path (`message`, `published`) are built as bytes in `codec.py`; the structs
here serve everything else, and the client decodes all of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from conduit.names import KEY_SCHEMA, TOPIC_SCHEMA
from conduit.protocol.records import Receipt
from conduit.redaction import MASK

# Of a `reason` in UTF-8: 255 characters of most alphabets, 170 of Chinese.
REASON_MAX_BYTES = 512
# Of a `seq`: what every client holds exactly.
SEQ_MAX = 1 << 53
# The longest `delay_ms` of a nack, and `ms` of an extend.
DELAY_MAX_MS = 24 * 3_600_000

# Client to server ---------------------------------------------------------------------------------


class StartAt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where to begin, when it is neither `new` nor `earliest`.

    One of `seq`, `time` and `positions`; `time` beside `positions` is for the topics that those do not
    name, which else begin at `new`. `epoch` is that of the message which has the number: without it
    nothing tells that the topic was made anew or restored since.
    """

    seq: int | None = None
    epoch: str | None = None
    time: str | None = None
    positions: dict[str, StartPosition] | None = None


class StartPosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`seq` is the first number to be delivered."""

    seq: int
    epoch: str | None = None


StartSpec = Literal["new", "earliest"] | StartAt


class ClientFrame(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything a client may send."""


class Subscribe(ClientFrame, tag="subscribe"):
    """Begin to receive. Settings that are left out keep their default, or the durable one's value.

    `max_lost` null is a value, "no bound", and not the same as left out. `create`: whether what does not
    exist is made, the topic that it names and the durable subscription. `prefetch` is no setting of a
    subscription, but of this subscriber: it has no more deliveries at once, where `max_in_flight` is more.
    """

    topic: str
    subscription: str | None = None
    start: StartSpec | None = None
    ack: Literal["explicit", "auto"] | None = None
    order: Literal["publish", "strict"] | None = None
    max_in_flight: int | None = None
    ack_wait_ms: int | None = None
    max_attempts: int | None = None
    max_lost: int | msgspec.UnsetType | None = msgspec.UNSET
    create: bool = True
    prefetch: int | None = None
    ref: str | None = None


class Unsubscribe(ClientFrame, tag="unsubscribe"):
    """Stop receiving; a durable subscription goes on existing."""

    topic: str
    subscription: str | None = None
    ref: str | None = None


class Ack(ClientFrame, tag="ack"):
    """Settle deliveries: one, a list, or everything of a topic up to and with a number.

    `attempt`, with `message_id`: only if that attempt is the newest. So for `Nack`, `Reject`, `Extend`.
    """

    message_id: str | None = None
    message_ids: list[str] | None = None
    topic: str | None = None
    seq: int | None = None
    subscription: str | None = None
    attempt: int | None = None
    ref: str | None = None


class Nack(ClientFrame, tag="nack"):
    """Try again: after `delay_ms`, or after the attempt's backoff."""

    message_id: str
    subscription: str | None = None
    delay_ms: int | None = None
    reason: str | None = None
    attempt: int | None = None
    ref: str | None = None


class Reject(ClientFrame, tag="reject"):
    """Dead-letter now."""

    message_id: str
    subscription: str | None = None
    reason: str | None = None
    attempt: int | None = None
    ref: str | None = None


class Extend(ClientFrame, tag="extend"):
    """More time: `ms` from now, or the attempt's wait once more."""

    message_id: str
    subscription: str | None = None
    ms: int | None = None
    attempt: int | None = None
    ref: str | None = None


class Publish(ClientFrame, tag="publish"):
    """Publish one message; `ref` comes back with the result."""

    topic: str
    payload: msgspec.Raw
    key: str | None = None
    headers: dict[str, str] | None = None
    idempotency_key: str | None = None
    ref: str | None = None


class Heartbeat(ClientFrame, tag="heartbeat"):
    """Answered with `heartbeat_ack`."""


class Auth(ClientFrame, tag="auth"):
    """Sign in: an API key or a token. The first frame where no header could be set; later, before a token
    expires, a newer one for the same tenant."""

    token: str
    ref: str | None = None

    def __repr__(self) -> str:
        # Where a frame is shown in a traceback or an error, what it signs in with is not.
        return f"Auth(token={MASK!r}, ref={self.ref!r})"


AnyClientFrame = Subscribe | Unsubscribe | Ack | Nack | Reject | Extend | Publish | Heartbeat | Auth


# Described and not checked: the broker does that, with codes of its own.
_TopicName = Annotated[str, msgspec.Meta(extra_json_schema=TOPIC_SCHEMA)]
_Key = Annotated[str, msgspec.Meta(extra_json_schema=KEY_SCHEMA)]


class PublishRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /api/publish`, and one element of a batch."""

    topic: _TopicName
    payload: msgspec.Raw
    key: _Key | None = None
    headers: dict[str, str] | None = None
    idempotency_key: _Key | None = None


class PublishBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/publish/batch`."""

    messages: list[PublishRequest]


# Server to client ---------------------------------------------------------------------------------


class ServerFrame(msgspec.Struct, tag_field="type", omit_defaults=True):
    """Base of everything a server sends. New optional fields may appear: clients ignore them."""


class MessageFrame(ServerFrame, tag="message"):
    """One delivery; `seq` and `epoch` are its position.

    `attempt` counts how often it was handed out, `failures` what `max_attempts` bounds: the attempts
    that ran out of time or were nacked.
    """

    message_id: str
    topic: str
    payload: msgspec.Raw
    published_at: str
    seq: int
    epoch: str
    attempt: int = 1
    failures: int = 0
    key: str | None = None
    headers: dict[str, str] | None = None
    subscription: str | None = None


class Subscribed(ServerFrame, tag="subscribed"):
    """`seq` and `epoch` for a literal topic: the last message before the stream begins.

    `at` for an ephemeral pattern: what is published from then on is in the stream. `paused`: nothing comes
    until the durable subscription is resumed.
    """

    topic: str
    subscription: str | None = None
    seq: int | None = None
    epoch: str | None = None
    recovered: bool | None = None
    at: str | None = None
    paused: bool = False
    ref: str | None = None


class Unsubscribed(ServerFrame, tag="unsubscribed"):
    """The stream has ended; nothing of it follows."""

    topic: str
    subscription: str | None = None
    ref: str | None = None


class Published(Receipt, tag_field="type", tag="published", frozen=True, omit_defaults=True):
    """The message is in the log: the receipt as HTTP gives it, and the `ref` of the `publish`."""

    ref: str | None = None


class Acked(ServerFrame, tag="acked"):
    """The ack, nack, reject or extend with this `ref` is recorded."""

    ref: str
    message_id: str | None = None


class Gap(ServerFrame, tag="gap"):
    """Messages that cannot be given. `to_seq` is null when the end is not known (`epoch_changed`).

    `subscription` names the durable one that misses them.
    """

    topic: str
    from_seq: int
    to_seq: int | None
    reason: Literal["retention", "epoch_changed", "log_lost"]
    epoch: str
    subscription: str | None = None


class Closing(ServerFrame, tag="closing"):
    """A close frame follows; connect again after about this long."""

    reason: str
    reconnect_after_ms: int


class HeartbeatAck(ServerFrame, tag="heartbeat_ack"):
    """The answer to `heartbeat`."""


class Authenticated(ServerFrame, tag="authenticated"):
    """The connection is signed in. At `expires_at` it is closed with 4501, unless `auth` came again."""

    tenant: str
    expires_at: str | None = None
    ref: str | None = None


class ErrorFrame(ServerFrame, tag="error"):
    """A request was refused; the connection goes on unless a close frame follows.

    `message_id`: of the `ack`, `nack`, `reject` or `extend` that could not be used, if it named one.
    `retry_after_ms` is there if the same request can succeed later: not before that time. `limit` names
    the bound of the tenant or the key that was reached.
    """

    code: str
    message: str
    ref: str | None = None
    field: str | None = None
    message_id: str | None = None
    retry_after_ms: int | None = None
    limit: str | None = None


AnyServerFrame = (
    MessageFrame
    | Subscribed
    | Unsubscribed
    | Published
    | Acked
    | Gap
    | Closing
    | HeartbeatAck
    | Authenticated
    | ErrorFrame
)
