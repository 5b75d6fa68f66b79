"""What this node and the others tell each other, and what of it was missing: counters for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from conduit.broker.broker import Broker
from conduit.cluster.apart.copying import Copying
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.server import histograms
from conduit.server.context import Context

if TYPE_CHECKING:
    from conduit.cluster.apart.meeting import Meeting


def families(context: Context) -> Iterator[Metric]:
    """Where others may have the log as well; of links where the cluster has a secret."""
    if context.leaving is not None:
        yield GaugeMetricFamily(
            "conduit_node_draining",
            "1 from when this node was told to leave the others until it serves again, else 0.",
            int(not context.leaving.is_serving),
        )
    if context.meeting is not None:
        yield from _of_copies(context.meeting.copying)
        yield from _of_links(context.meeting)
    if not isinstance(context.hearing, Hearing):
        return
    broker, hearing = context.broker, context.hearing
    for name, about, count in (
        ("hint_heard_message", "Messages of which other nodes have told.", hearing.heard_count),
        (
            "hint_unknown_message",
            "Of these, messages of topics that are not known here.",
            hearing.dropped_count,
        ),
        (
            "hint_late_message",
            "Messages that were told again, or after they were read from the log.",
            broker.sequencer.late_count,
        ),
        (
            "hole_filled_message",
            "Messages that were missing before others, and were read from the log for all.",
            broker.sequencer.filled_count,
        ),
        (
            "hole_skipped_message",
            "Messages that were missing, and are read by each who follows the topic, if anybody does.",
            broker.sequencer.skipped_count,
        ),
        (
            "tail_repair",
            "Times that the log had messages of a topic of which nobody had told.",
            broker.tails.repaired_count,
        ),
    ):
        yield CounterMetricFamily(f"conduit_{name}", about, count)
    yield from _of_owners(context.broker)
    if context.exchange is not None:
        yield from _of_links(context.exchange)
        yield GaugeMetricFamily(
            "conduit_owner_guests",
            "Subscribers at other nodes of durable subscriptions that run here.",
            len(context.exchange.guests),
        )


def _of_owners(broker: Broker) -> Iterator[Metric]:
    ownership = broker.ownership
    yield GaugeMetricFamily(
        "conduit_owner_subscriptions",
        "Durable subscriptions that run here.",
        broker.running_count,
    )
    for name, about, count in (
        (
            "owner_begun",
            "Durable subscriptions that have begun to run here.",
            ownership.begun_count,
        ),
        (
            "owner_moved",
            "Durable subscriptions that ran here and went to other nodes.",
            ownership.moved_count,
        ),
    ):
        yield CounterMetricFamily(f"conduit_{name}", about, count)


def _of_links(exchange: Exchange | Meeting) -> Iterator[Metric]:
    counts, telling = exchange.links.counts, exchange.telling
    states = GaugeMetricFamily(
        "conduit_links", "Links to other live nodes, by state.", labels=["state"]
    )
    views = exchange.links.views()
    for state in ("up", "dialing", "awaited"):
        states.add_metric([state], sum(view.state == state for view in views))
    yield states
    yield GaugeMetricFamily(
        "conduit_link_queue_bytes",
        "What waits to be sent on links.",
        sum(view.queue_bytes for view in views),
    )
    for name, about, count in (
        ("link_made", "Links that were made.", counts.links_made),
        ("link_lost", "Links that have ended.", counts.links_lost),
        ("link_refused", "Attempts, of either side, that came to no link.", counts.refused),
        ("link_sent_bytes", "What was sent on links.", counts.sent_bytes),
        ("link_received_bytes", "What has come on links.", counts.received_bytes),
        ("hint_sent", "Hints sent; one to three nodes is three.", counts.hints_sent),
        (
            "hint_dropped",
            "Hints not sent because there was no link, or too much waited for it.",
            counts.hints_dropped,
        ),
        (
            "hint_told_message",
            "Messages of which others were told, once for each node.",
            telling.told_count,
        ),
        (
            "hint_too_large_message",
            "Messages that are too large to be told.",
            telling.skipped_count,
        ),
    ):
        yield CounterMetricFamily(f"conduit_{name}", about, count)
    yield histograms.family(
        "conduit_link_round_trip_seconds", "Pings on links, there and back.", counts.round_trip
    )


def _of_copies(copying: Copying) -> Iterator[Metric]:
    for name, about, count in (
        ("heard", "Messages of which nodes with logs of their own have told.", copying.heard_count),
        ("stored", "Messages of other nodes that were stored here.", copying.stored_count),
        (
            "unwanted",
            "Messages of other nodes that nothing here wanted.",
            copying.unwanted_count,
        ),
        ("repeated", "Messages of other nodes that had come before.", copying.repeated_count),
        (
            "dropped",
            "Messages of other nodes that could not be stored, and are lost for who subscribes here.",
            copying.dropped_count,
        ),
    ):
        yield CounterMetricFamily(f"conduit_copy_{name}_message", about, count)
