"""One subscriber of a running subscription: where its frames go, what it settles, and what credit it has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

from conduit.broker.catalog import Topic
from conduit.broker.deliver.reads import Reads
from conduit.broker.deliver.verbs import Outcome, Verb
from conduit.core.hearing import Hearing


class Removal(Enum):
    """Why a subscriber is taken from its subscription."""

    DELETED = auto()
    """The subscription was deleted."""
    TOPIC_DELETED = auto()
    MOVED = auto()
    """Another node has claimed the subscription."""


class Outlet(Protocol):
    """Where a subscriber's frames go: one WebSocket connection."""

    @property
    def writable(self) -> bool:
        """False while the socket does not drain; nothing should be written then."""

    @property
    def heard_until(self) -> float:
        """What the client had sent by then is known, by the clock; infinite if all is. What it sent later may
        be unread: there may be acks."""

    @property
    def node_name(self) -> str | None:
        """Of the node that the client is connected to; None: this one."""

    def write(self, data: bytes) -> None:
        """Write whole frames; never blocks, never fails."""


class Settling(Protocol):
    """A subscription in one topic, whose deliveries a subscriber settles."""

    def settle(self, seq: int, holder: int, verb: Verb) -> Outcome:
        """Do what the holder asks for one delivery, and count it."""

    def settle_through(self, seq: int, holder: int) -> int | None:
        """Ack what the holder has, up to and with a number that was handed out; how many that were. None if
        the number was not."""


class Subscribed(Protocol):
    """A subscription, in all its topics."""

    @property
    def cursors(self) -> Mapping[int, Settling]:
        """By topic id; the same mapping for all its life."""

    def opened(self, topic_id: int) -> Settling | None:
        """The topic, if it has deliveries that can be settled and no cursor yet."""

    def settle_through(self, topic: Topic, seq: int, holder: int) -> int | None:
        """See `Settling.settle_through`; also of a topic without a cursor."""


class Sharing(Protocol):
    """The subscribers of one subscription, who share its deliveries: their group."""

    name: str | None
    """Of the subscription; None if it is ephemeral."""
    window: int
    """Deliveries that each of them may have out, if it does not want fewer."""
    is_auto: bool
    """Whether what is written is settled by that."""
    subscription_id: int
    """0 if it is ephemeral."""
    was_moved: bool
    """Whether another node has it, and what was not stored here is lost."""
    in_flight: dict[int, int]
    """Holder → deliveries that it has out, in all topics."""

    def freed(self) -> None:
        """There may be credit where there was none."""


class Subscriber:
    """One live attachment: a connection's share in a group. `holder` is its number there."""

    __slots__ = (
        "_hearing",
        "_subscription",
        "_topics",
        "group",
        "holder",
        "on_removed",
        "outlet",
        "prefetch",
        "reads",
        "window",
    )

    def __init__(
        self,
        group: Sharing,
        subscription: Subscribed,
        holder: int,
        outlet: Outlet,
        reads: Reads,
        on_removed: Callable[[Removal], None],
    ) -> None:
        self.group = group
        self._subscription = subscription
        self._topics = subscription.cursors
        self._hearing: Hearing[Callable[[], None]] = Hearing()
        self.holder = holder
        self.outlet = outlet
        self.reads = reads
        self.on_removed = on_removed
        self.prefetch = sys.maxsize
        self.window = group.window
        """Deliveries that it may have out: as many as its group allows, but `prefetch` at most."""

    def resize(self) -> None:
        """One of the two has changed."""
        self.window = min(self.group.window, self.prefetch)

    @property
    def prefetch_given(self) -> int | None:
        """As it was asked for; None if it was not."""
        return None if self.prefetch == sys.maxsize else self.prefetch

    @property
    def credit(self) -> int:
        """How many more deliveries it takes now."""
        if not self.outlet.writable:
            return 0
        group = self.group
        if group.is_auto:
            return sys.maxsize
        return self.window - group.in_flight.get(self.holder, 0)

    def settle(self, topic_id: int, seq: int, verb: Verb) -> Outcome:
        """Do what this subscriber asks for one delivery."""
        topic = self._topics.get(topic_id) or self._subscription.opened(topic_id)
        if topic is None:
            return Outcome.UNKNOWN
        if not self._hearing.told:
            return topic.settle(seq, self.holder, verb)
        out_count = self._out_count
        outcome = topic.settle(seq, self.holder, verb)
        self._settled(out_count - self._out_count)
        return outcome

    def settle_through(self, topic: Topic, seq: int) -> int | None:
        """Ack what this subscriber has of the topic, up to and with `seq`; see `Settling`."""
        out_count = self._out_count
        settled_count = self._subscription.settle_through(topic, seq, self.holder)
        if self._hearing.told:
            self._settled(out_count - self._out_count)
        return settled_count

    def told(self, heard: Sequence[Callable[[], None]]) -> None:
        """Something was written to it; each of these is called when it is known to have heard that."""
        self._hearing.tell(heard, self._out_count)

    def handed_settled(self) -> None:
        """A message was written to it that is settled by that, and so is what was written before."""
        if self._hearing.told:
            self._settled(1)

    @property
    def _out_count(self) -> int:
        return self.group.in_flight.get(self.holder, 0)

    def _settled(self, count: int) -> None:
        for heard in self._hearing.settle(count):
            heard()
