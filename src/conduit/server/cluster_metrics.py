"""What this node and the others tell each other, and what of it was missing, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from conduit.broker.broker import Broker
from conduit.cluster.apart.copying import Copying
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.server.context import Context
from conduit.server.measures import Table, counter, gauge, histogram

if TYPE_CHECKING:
    from conduit.cluster.apart.meeting import Meeting

LINK_STATES = ("up", "dialing", "awaited")


def _link_states(exchange: Exchange | Meeting) -> dict[str, int]:
    counts = Counter(view.state for view in exchange.links.views())
    return {state: counts[state] for state in LINK_STATES}


HEARING: Table[tuple[Broker, Hearing]] = Table(
    "Messages of other nodes",
    (
        counter(
            "hint_heard_message",
            "Messages of which other nodes have told.",
            lambda one: one[1].heard_count,
        ),
        counter(
            "hint_unknown_message",
            "Messages of which other nodes have told, of topics that are not known here.",
            lambda one: one[1].dropped_count,
        ),
        counter(
            "hint_late_message",
            "Messages that were told again, or after they were read from the log.",
            lambda one: one[0].sequencer.late_count,
        ),
        counter(
            "hole_filled_message",
            "Messages that were missing before others, and were read from the log for all.",
            lambda one: one[0].sequencer.filled_count,
        ),
        counter(
            "hole_skipped_message",
            "Messages that were missing, and are read by each who follows the topic, if anybody does.",
            lambda one: one[0].sequencer.skipped_count,
        ),
        counter(
            "tail_repair",
            "Times that the log had messages of a topic of which nobody had told.",
            lambda one: one[0].tails.repaired_count,
        ),
    ),
    "on PostgreSQL",
)
OWNERS: Table[Broker] = Table(
    "Who runs subscriptions",
    (
        gauge(
            "owner_subscriptions",
            "Durable subscriptions that run here.",
            lambda broker: broker.running_count,
        ),
        counter(
            "owner_begun",
            "Durable subscriptions that have begun to run here.",
            lambda broker: broker.ownership.begun_count,
        ),
        counter(
            "owner_moved",
            "Durable subscriptions that ran here and went to other nodes: one joined or went, this one lost "
            "its lease, or somebody else claimed them.",
            lambda broker: broker.ownership.moved_count,
        ),
    ),
    "on PostgreSQL",
)
GUESTS: Table[Exchange] = Table(
    "Subscribers at other nodes",
    (
        gauge(
            "owner_guests",
            "Subscribers at other nodes of durable subscriptions that run here.",
            lambda exchange: len(exchange.guests),
        ),
    ),
    "on PostgreSQL with `INTERNAL_SECRET`",
)
LINKS: Table[Exchange | Meeting] = Table(
    "Links",
    (
        gauge("links", "Links to other live nodes, by state.", _link_states, "state"),
        gauge(
            "link_queue_bytes",
            "What waits to be sent on links.",
            lambda one: sum(view.queue_bytes for view in one.links.views()),
        ),
        counter("link_made", "Links that were made.", lambda one: one.links.counts.links_made),
        counter("link_lost", "Links that have ended.", lambda one: one.links.counts.links_lost),
        counter(
            "link_refused",
            "Attempts, of either side, that came to no link.",
            lambda one: one.links.counts.refused,
        ),
        counter(
            "link_sent_bytes", "What was sent on links.", lambda one: one.links.counts.sent_bytes
        ),
        counter(
            "link_received_bytes",
            "What has come on links.",
            lambda one: one.links.counts.received_bytes,
        ),
        histogram(
            "link_round_trip_seconds",
            "Pings on links, there and back.",
            lambda one: one.links.counts.round_trip,
        ),
        counter(
            "hint_sent",
            "Hints sent; one to three nodes is three.",
            lambda one: one.links.counts.hints_sent,
        ),
        counter(
            "hint_dropped",
            "Hints not sent because there was no link, or too much waited for it.",
            lambda one: one.links.counts.hints_dropped,
        ),
        counter(
            "hint_told_message",
            "Messages of which others were told, once for each node.",
            lambda one: one.telling.told_count,
        ),
        counter(
            "hint_too_large_message",
            "Messages that are too large to be told.",
            lambda one: one.telling.skipped_count,
        ),
    ),
    "with `INTERNAL_SECRET`: on PostgreSQL, or with `REDIS_URL` and no database",
)
COPIES: Table[Copying] = Table(
    "Copies between nodes that have no database",
    (
        counter(
            "copy_heard_message",
            "Messages of which nodes with logs of their own have told.",
            lambda copying: copying.heard_count,
        ),
        counter(
            "copy_stored_message",
            "Messages of other nodes that were stored here.",
            lambda copying: copying.stored_count,
        ),
        counter(
            "copy_unwanted_message",
            "Messages of other nodes that nothing here wanted.",
            lambda copying: copying.unwanted_count,
        ),
        counter(
            "copy_repeated_message",
            "Messages of other nodes that had come before.",
            lambda copying: copying.repeated_count,
        ),
        counter(
            "copy_dropped_message",
            "Messages of other nodes that could not be stored, and are lost for who subscribes here; the log "
            "says why.",
            lambda copying: copying.dropped_count,
        ),
    ),
    "with `INTERNAL_SECRET` and `REDIS_URL`, and no database",
)


def families(context: Context) -> Iterator[Metric]:
    """Where others may have the log as well; of links where the cluster has a secret."""
    if context.meeting is not None:
        yield from COPIES.families(context.meeting.copying)
        yield from LINKS.families(context.meeting)
    if not isinstance(context.hearing, Hearing):
        return
    yield from HEARING.families((context.broker, context.hearing))
    yield from OWNERS.families(context.broker)
    if context.exchange is not None:
        yield from LINKS.families(context.exchange)
        yield from GUESTS.families(context.exchange)
