"""Idempotency keys: whose publish is the first under its key, and what those that repeat it are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from conduit.broker.catalog import Topic
from conduit.broker.clock import Clock
from conduit.broker.publish.receipt import Answer
from conduit.broker.stats import Stats
from conduit.core.dedupe import DedupeWindow, Known
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, OutcomeUnknown
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


# One string of bytes in place of a receipt: 310 bytes of memory for each key, and not 425.
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Result).decode


class Keys:
    """The keys of all publishes: those under way, and up to `max_count` that have a result."""

    def __init__(
        self, store: Store, clock: Clock, stats: Stats, window_s: float, max_count: int
    ) -> None:
        self._window: DedupeWindow[bytes, Answer] = DedupeWindow(window_s, max_count)
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
            result = _pack(_Result(known.message_id, 0, at_ms, known.seq))
            self._window.restore(known.topic_id, known.key, result, now - age_s(at_ms))

    def is_first(self, topic: Topic, message: NewMessage, answer: Answer) -> bool:
        """Whether the key is new. If not, `answer` has the first one's receipt, or will have it.

        Whoever is first calls `settle`. Raises Overloaded when too many wait for it.
        """
        key = message.idempotency_key or ""
        entry = self._window.begin(topic.topic_id, key, self._clock.now())
        if entry is None:
            return True
        if isinstance(entry, Known):
            self._stats.duplicate_count += 1
            answer(self._receipt(topic, _unpack(entry.result)))
        else:
            entry.wait(answer)
        return False

    def settle(self, topic: Topic, message: NewMessage, outcome: Receipt | ConduitError) -> None:
        """Keep what became of a first publish, and tell those who wait for it.

        After OutcomeUnknown it is still under way, and is settled again; else this is called once.
        """
        key = message.idempotency_key or ""
        if isinstance(outcome, Receipt):
            self._complete(topic, key, message.published_at_ms, outcome)
        elif isinstance(outcome, OutcomeUnknown):
            for waiter in self._window.take_waiters(topic.topic_id, key):
                waiter(outcome)
        else:
            for waiter in self._window.fail(topic.topic_id, key):
                waiter(outcome)

    def _complete(self, topic: Topic, key: str, published_at_ms: int, receipt: Receipt) -> None:
        result = _Result(receipt.message_id, receipt.subscribers, published_at_ms, receipt.seq)
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
                "%d idempotency keys were forgotten before their window was over: "
                "there are more than CONDUIT_IDEMPOTENCY_MAX_COUNT (%d)",
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
