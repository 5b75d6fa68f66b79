"""The records that travel between the broker and a store."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One stored message. `payload` and `headers` are JSON as the bytes that came."""

    message_id: str
    """UUID version 7, lower case, with dashes."""
    seq: int
    published_at_ms: int
    """Milliseconds since the epoch, UTC."""
    payload: bytes
    key: str | None = None
    headers: bytes | None = None


class NewMessage(msgspec.Struct, gc=False):
    """A message on its way into the log: all of `Message` but the number, and where it goes."""

    topic_id: int
    message_id: str
    payload: bytes
    key: str | None = None
    headers: bytes | None = None
    idempotency_key: str | None = None
    published_at_ms: int = 0
    """Set when its commit begins."""
    payload_hash: bytes | None = None
    """Of one with an idempotency key: kept with the key."""

    @property
    def size_bytes(self) -> int:
        """What counts against a topic's retention: payload, key and headers."""
        size = len(self.payload)
        if self.key is not None:
            size += len(self.key.encode())
        if self.headers is not None:
            size += len(self.headers)
        return size


class Hinted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stored message, as another node tells of it; its number is that of its place."""

    message_id: str
    published_at_ms: int
    payload: bytes
    key: str | None = None
    headers: bytes | None = None


Committed = Message | NewMessage | Hinted
"""A message that is in the log, however this node knows of it."""


class Retention(msgspec.Struct, frozen=True):
    """How much of a topic the log keeps; None means no bound of that kind. All bounds apply."""

    max_age_s: int | None = None
    max_messages: int | None = None
    max_bytes: int | None = None


class TopicRecord(msgspec.Struct):
    """A topic as a store knows it. Positions: messages `first_seq`..`last_seq` are stored.

    An empty topic has `first_seq == last_seq + 1`. `topic_id` is never reused.
    """

    topic_id: int
    tenant: str
    name: str
    epoch: str
    created_at_ms: int
    first_seq: int
    last_seq: int
    stored_bytes: int
    """Payload, key and headers of the stored messages."""
    retention: Retention


# What a durable subscription gets for `ack_wait_ms` when nothing is said: its handlers take time. Without a
# name it is the struct's default.
DURABLE_ACK_WAIT_MS = 30_000


class SubscriptionSettings(msgspec.Struct, frozen=True):
    """What a subscription was created with. Durations in milliseconds."""

    ack: str = "explicit"
    """`explicit` or `auto`."""
    order: str = "publish"
    """`publish` or `strict`."""
    max_in_flight: int = 256
    ack_wait_ms: int = 1000
    max_ack_wait_ms: int = 60_000
    max_attempts: int = 5
    max_lost: int | None = 20
    """How often a delivery may be lost with a connection until it is a dead letter; None: no bound."""


class SubscriptionRecord(msgspec.Struct):
    """A durable subscription as a store knows it. `subscription_id` is never reused."""

    subscription_id: int
    tenant: str
    name: str
    pattern: str
    created_at_ms: int
    paused: bool
    settings: SubscriptionSettings


class Progress(msgspec.Struct, gc=False):
    """How far one durable subscription is in one topic.

    Everything at or below `floor` is settled; everything above `cursor` was never delivered;
    `open` says which numbers up to `cursor` are unsettled (see `core/delivery.py`), opaque here, and so are
    `pages`, which have more of that where it is much. Those that are stored are the ones that changed, and an
    empty one is removed; those that are read are all.
    """

    subscription_id: int
    topic_id: int
    floor: int
    cursor: int
    open: bytes = b""
    fence: int | None = None
    """Of the owner who stores it; None when read, and where no owner is asked."""
    pages: dict[int, bytes] = {}


class Death(msgspec.Struct):
    """One delivery that becomes a dead letter. The store copies the message from its log, if it is there.

    `subscription` is empty for ephemeral subscribers. One dead letter exists per (subscription, topic,
    seq): another death of the same delivery replaces attempts, reason and time.
    """

    dead_id: str
    tenant: str
    subscription: str
    topic_id: int
    seq: int
    attempts: int
    reason: str
    died_at_ms: int
    subscription_id: int | None = None
    """Of a durable subscription; the death is refused together with its progress."""


class Redriven(msgspec.Struct, frozen=True):
    """A dead letter whose delivery is open again."""

    dead_id: str
    at_ms: int
    subscription_id: int | None = None
    """As in `Death`."""
    subscription: str = ""
    topic_id: int = 0
    seq: int = 0
    """Of a durable subscription the delivery: a letter of it may be gone by now, and that is forgotten."""


class DeadPlace(msgspec.Struct, frozen=True):
    """Where a dead letter is from: all that redriving one has to know, without its message.

    `subscription` is empty for ephemeral subscribers. `is_lost`: its message is not kept.
    `is_redriven`: it was, and has not died again.
    """

    dead_id: str
    subscription: str
    topic: str
    topic_id: int
    seq: int
    is_lost: bool = False
    is_redriven: bool = False


class DeadLetter(msgspec.Struct):
    """A dead letter as it is listed: the delivery that died and the message with it.

    If the log had lost the message by then, the letter `is_lost`: `message_id`, `published_at_ms` and
    `payload` are empty.
    """

    dead_id: str
    tenant: str
    subscription: str
    topic: str
    topic_id: int
    seq: int
    message_id: str
    attempts: int
    reason: str
    died_at_ms: int
    redriven_at_ms: int | None
    published_at_ms: int
    payload: bytes
    key: str | None = None
    headers: bytes | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it is without its message: no payload is empty."""
        return not self.payload

    @property
    def size_bytes(self) -> int:
        """Of payload, key and headers."""
        size = len(self.payload)
        if self.key is not None:
            size += len(self.key.encode(errors="surrogatepass"))
        if self.headers is not None:
            size += len(self.headers)
        return size

    @property
    def place(self) -> DeadPlace:
        """Where it is from."""
        return DeadPlace(
            self.dead_id,
            self.subscription,
            self.topic,
            self.topic_id,
            self.seq,
            self.is_lost,
            self.redriven_at_ms is not None,
        )
