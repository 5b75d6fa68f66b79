"""What the broker counts, times and has, as metrics."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from conduit.broker.administer.attention import TROUBLES
from conduit.broker.broker import Broker
from conduit.broker.stats import ACKS_TIMED_COUNT, Stats
from conduit.server.measures import Measure, Table, counter, gauge, histogram


def _counted(attribute: str, about: str) -> Measure[Stats]:
    """Of an attribute of Stats: `published_count` becomes `conduit_published_total`."""
    return counter(attribute.removesuffix("_count"), about, attrgetter(attribute))


PUBLISHING: Table[Stats] = Table(
    "Publishing",
    (
        _counted("published_count", "Messages stored."),
        _counted("duplicate_count", "Publishes answered with the result of an earlier one."),
        counter(
            "publish_error",
            "Publishes answered with an error, by its code; a batch is one. Those that were refused before "
            "they were looked at count too.",
            lambda stats: stats.publish_errors,
            "code",
        ),
        _counted(
            "forgotten_key_count",
            "Idempotency keys forgotten before their window was over: CONDUIT_IDEMPOTENCY_MAX_COUNT.",
        ),
        histogram(
            "publish_duration_seconds",
            "Time from a publish that was stored to its receipt, to the millisecond; what shares a commit "
            "counts from the first of it, so this is rather too long than too short.",
            lambda stats: stats.publish_times,
        ),
        histogram(
            "commit_duration_seconds",
            "Time that the store took for a commit, to the millisecond.",
            lambda stats: stats.commit_times,
        ),
    ),
)

DELIVERING: Table[Stats] = Table(
    "Delivering",
    (
        _counted("delivered_count", "Deliveries handed to subscribers, redeliveries included."),
        _counted("redelivered_count", "Deliveries with an attempt above 1."),
        histogram(
            "delivery_latency_seconds",
            "Age of a message when it was first handed to a subscriber that was there when it came: a few "
            "milliseconds, and longer for one that had no credit. What was read from the log is not in it.",
            lambda stats: stats.delivery_times,
        ),
        _counted("acked_count", "Deliveries settled by an ack."),
        _counted("nacked_count", "Deliveries given back by a nack."),
        _counted("extended_count", "Deliveries given more time by an extend."),
        _counted("rejected_count", "Deliveries dead-lettered by a reject."),
        histogram(
            "ack_latency_seconds",
            f"Time from the first hand-out to the ack, of {ACKS_TIMED_COUNT} acks in a second at most; one "
            "that was extended is not measured.",
            lambda stats: stats.ack_times,
        ),
        _counted("late_ack_count", "Acks of deliveries that were settled or taken back already."),
        _counted("unknown_ack_count", "Acks of messages that were never delivered here."),
        _counted("dead_lettered_count", "Deliveries that became dead letters, for any reason."),
        _counted(
            "dead_letter_dropped_count",
            "Dead letters dropped: there were too many, or they were too old.",
        ),
        _counted(
            "dead_letter_lost_count", "Dead letters without their messages, which the log had lost."
        ),
        _counted(
            "full_count",
            "Times that a subscription got nothing new, because too many deliveries waited for their next "
            "attempt.",
        ),
        _counted("gap_count", "Gap frames sent."),
        _counted("log_read_count", "Reads of the log for deliveries."),
        _counted(
            "dropped_page_count",
            "Pages of the log dropped from memory to stay within CONDUIT_DELIVERY_MEMORY_MAX_BYTES.",
        ),
        _counted(
            "dropped_tail_count",
            "Newest messages of a topic dropped from memory to stay within "
            "CONDUIT_DELIVERY_MEMORY_MAX_BYTES.",
        ),
    ),
)


def _troubled(broker: Broker) -> dict[str, int]:
    counts = broker.attention.of(None).counts
    return {trouble: counts.get(trouble, 0) for trouble in TROUBLES}


THERE: Table[Broker] = Table(
    "Topics and subscriptions",
    (
        gauge("topics", "Topics.", lambda broker: broker.gauges().topic_count),
        gauge("subscriptions", "Durable subscriptions.", lambda broker: broker.subscriptions.count),
        gauge("subscribers", "Live attachments.", lambda broker: broker.gauges().subscriber_count),
        gauge(
            "backlog",
            "Messages that durable subscriptions have not settled, whether anybody is attached or not; of "
            "several linked nodes each has those that the ring gives to it, so the sum is all.",
            lambda broker: broker.gauges().backlog_count,
        ),
        gauge(
            "troubled_subscriptions",
            "Durable subscriptions with something unsettled, by their worst trouble: full (so much waits for "
            "another attempt that nothing new is handed out), slow (somebody is attached, and yet its lag "
            "grows), absent (nobody is attached), paused. Looked at every ten seconds, of very many every "
            "minute.",
            _troubled,
            "trouble",
        ),
        gauge(
            "delivery_memory_bytes",
            "Messages in memory to be delivered; bounded by CONDUIT_DELIVERY_MEMORY_MAX_BYTES.",
            lambda broker: broker.delivery_memory_bytes,
        ),
    ),
)


def _size(name: str) -> Callable[[Broker], int | None]:
    return lambda broker: getattr(broker.sizes, name, None)


STORE: Table[Broker] = Table(
    "Store",
    (
        gauge(
            "store_servers",
            "Servers that use this store, this one included.",
            lambda broker: broker.store.server_count,
        ),
        gauge(
            "store_size_bytes",
            "What the store takes: messages, dead letters, indexes and free room.",
            _size("size_bytes"),
        ),
    ),
)
FILE: Table[Broker] = Table(
    "The database file",
    (
        gauge(
            "store_free_bytes",
            "Room in the store that is free for what comes next; a part of its size.",
            _size("free_bytes"),
        ),
        gauge(
            "store_wal_bytes",
            "Commits beside the database file that are not in it yet.",
            _size("wal_bytes"),
        ),
        gauge(
            "store_disk_free_bytes",
            "What is left on the disk of the database file.",
            _size("disk_free_bytes"),
        ),
    ),
    "on SQLite",
)
