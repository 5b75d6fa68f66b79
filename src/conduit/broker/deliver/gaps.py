"""Telling subscribers which messages they will not get."""

from __future__ import annotations

from conduit.broker.catalog import Topic
from conduit.broker.deliver.group import Group
from conduit.broker.stats import Stats
from conduit.protocol.codec import server_frame
from conduit.protocol.frames import Gap


def tell_lost(stats: Stats, group: Group, topic: Topic, from_seq: int, to_seq: int) -> None:
    """Retention has removed these before they could be given."""
    _tell(stats, group, Gap(topic.name, from_seq, to_seq, "retention", topic.epoch))


def tell_made_anew(stats: Stats, group: Group, topic: Topic, from_seq: int) -> None:
    """The topic was deleted and made anew: what the old one had from `from_seq` on never comes."""
    _tell(stats, group, Gap(topic.name, from_seq, None, "epoch_changed", topic.epoch))


def _tell(stats: Stats, group: Group, gap: Gap) -> None:
    gap.subscription = group.name
    stats.gap_count += 1
    group.tell(server_frame(gap))
