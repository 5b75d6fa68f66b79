"""Idempotency keys: whose publish is the first under its key, and what those that repeat it are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.clock import Clock
from conduit.broker.publish.receipt import Answer
from conduit.broker.stats import Stats
from conduit.core.dedupe import DedupeWindow, Pending
from conduit.core.message import NewMessage
from conduit.core.shares import Kept
from conduit.errors import ConduitError, Conflict, OutcomeUnknown
from conduit.protocol.batch import path_of
from conduit.protocol.codec import format_time
from conduit.protocol.records import Receipt
from conduit.storage.base import KnownKey, Store

# Between two log lines about keys that were forgotten early.
WARNING_INTERVAL_S = 60.0

logger = logging.getLogger(__name__)


class _Result(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a receipt says that its topic does not."""

    message_id: str
    subscribers: int
    published_at_ms: int
    seq: int
    payload_hash: bytes | None
    """None: it is not known which payload it was, and any is taken for it."""


# One string of bytes in place of a receipt: 350 bytes of memory for each key, and not 465.
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Result).decode


class Keys:
    """The keys of all publishes: those under way, and up to `max_count` that have a result."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        stats: Stats,
        window_s: float,
        max_count: int,
    ) -> None:
        def tenant_of(topic_id: int) -> str | None:
            topic = catalog.by_id(topic_id)
            return None if topic is None else topic.tenant

        self._window: DedupeWindow[bytes, Answer] = DedupeWindow(window_s, max_count, tenant_of)
        self._store = store
        self._clock = clock
        self._stats = stats
        self._max_count = max_count
        # Of the keys forgotten early, those that the log tells of.
        self._logged_count = 0
        self._next_warning_at = 0.0

    def __len__(self) -> int:
        return len(self._window)

    def restore(self, keys: Sequence[KnownKey], age_s: Callable[[int], float]) -> None:
        """Take over the keys that the store remembers, oldest first; `age_s` of a stamp."""
        now = self._clock.now()
        for known in keys:
            at_ms = known.published_at_ms
            # How many subscribers there were is not stored.
            result = _Result(known.message_id, 0, at_ms, known.seq, known.payload_hash)
            self._window.restore(known.topic_id, known.key, _pack(result), now - age_s(at_ms))

    def is_first(self, topic: Topic, message: NewMessage, answer: Answer) -> bool:
        """Whether the key is new. If not, `answer` has the first one's receipt, or will have it.

        Whoever is first calls `settle`. Raises Conflict if the first one's payload was another, Overloaded
        when too many wait for it.
        """
        key, payload_hash = message.idempotency_key or "", message.payload_hash
        entry = self._window.begin(topic.topic_id, key, self._clock.now(), payload_hash)
        if entry is None:
            return True
        if isinstance(entry, Pending):
            _compare(entry.payload_hash, payload_hash)
            entry.wait(answer)
        else:
            result = _unpack(entry.value)
            _compare(result.payload_hash, payload_hash)
            self._stats.duplicate_count += 1
            answer(self._receipt(topic, result))
        return False

    def check_batch(self, messages: Iterable[tuple[Topic, NewMessage]]) -> None:
        """Raises Conflict if the key of any stands for another payload, before or within the batch."""
        hashes: dict[tuple[int, str], bytes | None] = {}
        for index, (topic, message) in enumerate(messages):
            key = message.idempotency_key
            if key is not None:
                path = path_of(index)
                entry = self._window.find(topic.topic_id, key)
                if entry is not None:
                    _compare(_hash_of(entry), message.payload_hash, path)
                first = hashes.setdefault((topic.topic_id, key), message.payload_hash)
                _compare(first, message.payload_hash, path)

    def settle(self, topic: Topic, message: NewMessage, outcome: Receipt | ConduitError) -> None:
        """Keep what became of a first publish, and tell those who wait for it.

        After OutcomeUnknown it is still under way, and is settled again; else this is called once.
        """
        key = message.idempotency_key or ""
        if isinstance(outcome, Receipt):
            self._complete(topic, key, message, outcome)
        elif isinstance(outcome, OutcomeUnknown):
            for waiter in self._window.take_waiters(topic.topic_id, key):
                waiter(outcome)
        else:
            for waiter in self._window.fail(topic.topic_id, key):
                waiter(outcome)

    def repeats(self, topic: Topic, message: NewMessage, known: KnownKey) -> Receipt:
        """The log knew the key of what was a first publish here: keep what it stands for, and tell those who
        wait for that. Returns what its publisher is told."""
        # How many subscribers there were is not stored.
        result = _Result(known.message_id, 0, known.published_at_ms, known.seq, known.payload_hash)
        self._stats.duplicate_count += 1
        self._settled(topic, known.key, result)
        return self._receipt(topic, result)

    def _complete(self, topic: Topic, key: str, message: NewMessage, receipt: Receipt) -> None:
        result = _Result(
            receipt.message_id,
            receipt.subscribers,
            message.published_at_ms,
            receipt.seq,
            message.payload_hash,
        )
        self._settled(topic, key, result)

    def _settled(self, topic: Topic, key: str, result: _Result) -> None:
        for waiter in self._window.complete(topic.topic_id, key, _pack(result)):
            self._stats.duplicate_count += 1
            waiter(self._receipt(topic, result))

    def forget_topic(self, topic: Topic) -> None:
        """The topic is deleted: its keys stand for nothing any more."""
        self._window.drop_topic(topic.topic_id)

    def tick(self, now: float) -> None:
        """Forget the keys whose window is over, and tell of those that went earlier. Call it every second."""
        self._window.expire(now)
        early_count = self._window.forgotten_early_count
        self._stats.forgotten_key_count = early_count
        if early_count > self._logged_count and now >= self._next_warning_at:
            logger.warning(
                "%d idempotency keys of the tenants and topics with most of them were forgotten before"
                " their window was over: there are more than CONDUIT_IDEMPOTENCY_MAX_COUNT (%d)",
                early_count - self._logged_count,
                self._max_count,
            )
            self._logged_count = early_count
            self._next_warning_at = now + WARNING_INTERVAL_S

    def _receipt(self, topic: Topic, result: _Result) -> Receipt:
        return Receipt(
            result.message_id,
            topic.name,
            result.subscribers,
            format_time(result.published_at_ms),
            result.seq,
            topic.epoch,
            self._store.durable,
            True,
        )


def _hash_of(entry: Pending[Answer] | Kept[bytes]) -> bytes | None:
    return entry.payload_hash if isinstance(entry, Pending) else _unpack(entry.value).payload_hash


def _compare(first: bytes | None, payload_hash: bytes | None, path: str = "") -> None:
    if first is not None and first != payload_hash:
        raise other_payload(f"{path}idempotency_key")


def other_payload(field: str | None, key: str = "") -> Conflict:
    """What the publisher is told who uses a key for another payload: in which field of the request it stands,
    or which it is if that is not known."""
    return Conflict(
        f"{field or f'the idempotency key {key!r}'} was used for another payload: a key is for one message, "
        "which may be repeated",
        code="idempotency_conflict",
        field=field,
    )
