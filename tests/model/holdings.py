"""What the broker holds: nothing for somebody who is gone, and only so much for one subscription.

From outside these faults show as memory that grows, as a subscription that another node cannot take over,
or not at all for a long time. So this is the one part of the model that looks into the broker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from conduit.broker.attach.connection import Connection
from conduit.broker.broker import Broker
from conduit.broker.deliver import reads
from conduit.broker.deliver.budget import READ_BYTES
from conduit.broker.deliver.cursor import Cursor
from conduit.broker.deliver.deadlines import NEVER
from conduit.broker.deliver.running import Running
from conduit.broker.deliver.states import State
from conduit.names import is_pattern

# Of the log, for one connection: the last page that comes may be larger than was expected.
IN_USE_MAX_BYTES = reads.IN_USE_MAX_BYTES + READ_BYTES
# Reads of the log that one subscription may have under way.
READS_MAX_COUNT = 8


class Holdings:
    """The broker of one life, and who is connected to it."""

    def __init__(self, broker: Broker, connections: Collection[Connection]) -> None:
        self._reads = [connection._reads for connection in connections]
        self._broker = broker
        self._engine = broker._engine
        self._owned = list(broker._owned.running())
        shares = [share for connection in connections for share in connection._shares.values()]
        self._attached = {share.subscriber for share in shares}
        self.running: list[Running] = list(
            dict.fromkeys([*self._owned, *(share.running for share in shares)])
        )
        self._cursors: list[Cursor] = [
            cursor for running in self.running for cursor in running.cursors.values()
        ]

    @property
    def is_stalled(self) -> bool:
        """Whether somebody waits for a time before the log is read."""
        return any(cursor.state is State.STALLED for cursor in self._cursors)

    def too_much(self) -> Iterator[str]:
        """What must never be, whatever the store does."""
        for each in self._reads:
            if each._busy_count > reads.BUSY_MAX_COUNT or each._in_use_bytes > IN_USE_MAX_BYTES:
                yield f"a connection has {each._busy_count} reads of {each._in_use_bytes} bytes in use"
        budget = self._engine.budget
        if budget.held_bytes > max(budget._max_bytes, budget._in_use_bytes):
            yield f"the node holds {budget.held_bytes} bytes of the log"

    def useless(self) -> Iterator[str]:
        """What must not be when nothing moves, the store works and everybody drains."""
        for running in self._owned:
            if not running.group.subscribers:
                yield f"{_name(running)} runs here, and has no subscriber"
        for running in self.running:
            yield from self._of_subscription(running)
        yield from self._of_topics()
        yield from self._of_engine()
        yield from self._of_router()

    def _of_subscription(self, running: Running) -> Iterator[str]:
        group, cursors = running.group, running.cursors.values()
        strangers = [one.holder for one in group.subscribers if one not in self._attached]
        if strangers:
            yield f"{_name(running)} has the subscribers {strangers}, who are not connected"
        out = sum(cursor.delivery.out_count for cursor in cursors)
        holders = {one.holder for one in group.subscribers}
        if out != sum(group.in_flight.values()) or not holders.issuperset(group.in_flight):
            yield f"{_name(running)} has {group.in_flight} in flight, {out} out, to {holders}"
        if any(cursor.state is State.CLOSED for cursor in cursors):
            yield f"{_name(running)} has a cursor that is closed"
        waiting = set(group.waiting) - {*cursors, *running.unopened.values()}
        if waiting:
            yield f"{_name(running)} has {waiting} in line, which are not of it"

    def _of_topics(self) -> Iterator[str]:
        feeds = self._engine.feeds.all()
        if not set(feeds) >= set(self._engine.budget._tails._sizes):
            yield "the tail of a topic is kept that nobody follows"
        for feed in feeds:
            followers = {cursor for cursor in self._cursors if cursor.feed is feed}
            told = {*feed.live, *feed.waiting}
            if feed.follower_count != len(followers) or not told <= followers:
                yield (
                    f"{feed.topic.name} has {feed.follower_count} followers, tells {len(told)},"
                    f" and {len(followers)} cursors"
                )
            if self._broker.topics.by_id(feed.topic.topic_id) is not feed.topic:
                yield f"{feed.topic.name} has a feed, and is gone"

    def _of_engine(self) -> Iterator[str]:
        engine = self._engine
        in_use = [each._in_use_bytes for each in self._reads if each._busy_count]
        if in_use or engine.budget._in_use_bytes:
            yield f"{in_use} and {engine.budget._in_use_bytes} bytes are in use, and nothing reads"
        watched = {
            who for at, _, who in engine.deadlines._heap if at == who.watched_at and at != NEVER
        }
        if not watched <= set(self._cursors):
            yield f"{len(watched)} deadlines are watched, of {len(self._cursors)} cursors"
        progress = engine.progress
        if progress._marked or progress._confirmations or progress._flushing:
            yield f"progress is not stored: {progress._marked.changed}"
        for what, here in (
            ("cursors wait in the backlog", engine.backlog._waiting),
            ("pages are waited for", engine.reader._waiting),
            ("reads are under way", engine.reader._tasks),
        ):
            if here:
                yield f"{len(here)} {what}"

    def _of_router(self) -> Iterator[str]:
        router, broker = self._broker.router, self._broker
        named = [one for one in self.running if not is_pattern(one.pattern)]
        if set(router._named) != set(named):
            yield f"{len(router._named)} subscriptions name a topic for the router, of {len(named)}"
        pattern_count = sum(len(patterns.trie) for patterns in router._patterns.values())
        if pattern_count != len(self.running) - len(named):
            yield f"{pattern_count} patterns are known to the router, and others run"
        gone = [each for each in router._routes if broker.topics.by_id(each) is None]
        if gone:
            yield f"topics {gone} have a route, and are gone"
        if router.subscriber_count != len(self._attached):
            yield f"{router.subscriber_count} subscribers are counted of {len(self._attached)}"


def _name(running: Running) -> str:
    return f"{running.group.name or 'unnamed'} on {running.pattern}"
