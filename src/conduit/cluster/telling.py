"""Telling other nodes of messages that were stored here.

What is told is a hint: it makes messages earlier, and nothing depends on it. A node that hears nothing finds
them in the log, within a second (broker/deliver/tails.py). So what is too much is dropped on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from conduit.broker.catalog import Topic
from conduit.broker.turn import Turn
from conduit.cluster.hints import Hints, Kept
from conduit.core.message import NewMessage


class Interest(Protocol):
    """Which nodes have subscribers of a topic."""

    def wanting(self, tenant: str, topic: str) -> Mapping[str, int]:
        """Name of a node → how many subscribers of the topic it has; 0 if it is not known whether it has
        any. Asked for every topic of every commit."""


class Sender(Protocol):
    """The way to other nodes."""

    def send_hint(self, names: Iterable[str], body: bytes) -> int:
        """Send it to these nodes, if that is possible now; returns to how many it was sent."""


class Telling:
    """Of one node: its `forward` is told of what this node commits."""

    def __init__(
        self, turn: Turn, interest: Interest, sender: Sender, *, tells_retention: bool = False
    ) -> None:
        """`tells_retention`: others may have to make the topic."""
        self._tells_retention = tells_retention
        self._turn = turn
        self._interest = interest
        self._sender = sender
        # What was committed in this turn of the loop, by the nodes that are to be told.
        self._to_tell: dict[tuple[str, ...], Hints] = {}
        self.told_count = 0
        """Messages of which others were told, each once for each of them."""
        self.skipped_count = 0
        """Messages of which nobody was told because they are too large."""

    def forward(self, topic: Topic, messages: Sequence[NewMessage], first_seq: int) -> int:
        """See `outcome.Forward`: others are told at the end of the turn."""
        wanting = self._interest.wanting(topic.tenant, topic.name)
        if not wanting:
            return 0
        names = tuple(wanting)
        hints = self._to_tell.get(names)
        if hints is None:
            hints = self._to_tell[names] = Hints()
            self._turn.add(self)
        place = topic.tenant, topic.name, topic.epoch
        kept = Kept.of(topic.retention) if self._tells_retention else None
        skipped_count = hints.add(place, messages, first_seq, kept)
        self.skipped_count += skipped_count
        self.told_count += (len(messages) - skipped_count) * len(names)
        return sum(wanting.values())

    def run(self) -> None:
        """Send what was collected in this turn."""
        to_tell, self._to_tell = self._to_tell, {}
        for names, hints in to_tell.items():
            for body in hints.take():
                self._sender.send_hint(names, body)


def everybody(linked: Callable[[], Mapping[str, int]]) -> Interest:
    """Without a registry each node may have subscribers of everything: all that there are links to."""
    return _Everybody(linked)


class _Everybody:
    def __init__(self, linked: Callable[[], Mapping[str, int]]) -> None:
        self._linked = linked

    def wanting(self, _tenant: str, _topic: str) -> Mapping[str, int]:
        return self._linked()
