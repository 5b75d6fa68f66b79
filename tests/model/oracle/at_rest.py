"""What must be true when nothing moves, the store works, and everybody who wants to drain does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from conduit.core.message import DeadLetter
from tests.model.oracle.line import Line
from tests.model.oracle.news import Known
from tests.model.oracle.state import State
from tests.model.oracle.subscription import Subscription


@dataclass(frozen=True)
class Shown:
    """A subscription as the API shows it. `floors`: topic → floor, last number, lag."""

    floors: dict[str, tuple[int, int, int]]
    subscribers: int
    in_flight_count: int
    pending_retry_count: int
    dead_count: int


def silent(state: State) -> Iterator[str]:
    """Everybody who has credit and is owed something, and does not get it: the worst of all faults."""
    for subscription in state.subscriptions():
        holder = subscription.can_take()
        if holder is None:
            continue
        is_full = subscription.is_full(state.max_waiting)
        for line, seq in subscription.owed(state.now):
            if is_full and seq >= line.next:
                continue
            yield (
                f"{subscription} is silent: {line} {seq} is owed{' again' if seq < line.next else ''},"
                f" {holder.client} has {holder.out} out of {holder.window}; last known is"
                f" {line.topic.last_known}"
            )


def untold(state: State) -> Iterator[str]:
    """Everybody who is attached and drains, and does not know of what will not come."""
    for subscription in state.subscriptions():
        for holder in subscription.holders if not subscription.going else ():
            if not holder.is_draining:
                continue
            owed = list(_news(state, subscription))
            if holder.room > 0 and not subscription.paused:
                owed += _losses(subscription)
            for what in owed:
                if what not in holder.knows:
                    yield f"{holder.client} was not told by {subscription}: {what}"


def _news(state: State, subscription: Subscription) -> Iterator[Known]:
    for name, former in subscription.news.former.items():
        if name in state.leaving:
            continue
        topic = state.log.by_name.get(name)
        if former.is_made_anew(topic):
            yield (name, former.epoch, "made anew")
        elif former.has_lost:
            yield (name, former.epoch, former.reason)


def _losses(subscription: Subscription) -> Iterator[Known]:
    for line in subscription.lines.values():
        for lost in line.lost if not line.topic.going else ():
            yield (line.topic.topic_id, *lost)


def unstored(state: State) -> Iterator[str]:
    """Progress that the store does not have when the broker has stopped in good order: that comes again."""
    for subscription in state.durable.values():
        for line in subscription.lines.values():
            if is_blurred(subscription):
                continue
            now, stored = line.snapshot(), line.stored
            differing = now.open.keys() ^ stored.open.keys()
            if any(line.is_doubtful(seq) or seq in stored.maybe for seq in differing):
                # A redrive that was not done by then, or that only the store knew of.
                continue
            if differing or (now.next, now.floor) != (stored.next, stored.floor):
                yield f"{subscription}, {line}: {now} was not stored at a stop, but {stored}"


def is_dead(state: State, letter: DeadLetter) -> bool:
    """Whether the delivery died, and nobody redrove it since, as far as is known."""
    subscription = state.durable.get(letter.subscription)
    line = subscription.lines.get(letter.topic_id) if subscription is not None else None
    return line is not None and letter.seq in line.died


def misshown(state: State, subscription: Subscription, found: Shown) -> str | None:
    """What is wrong with how the API shows a durable subscription."""
    expected = _shown(state, subscription)
    lines = subscription.lines.values()
    gone_count = sum(line.topic.is_gone(seq) for line in lines for seq in line.open)
    untold_count = expected.pending_retry_count - found.pending_retry_count
    if not subscription.holders and 0 < untold_count <= gone_count:
        # It has seen that they are lost, and whoever was to be told has left before.
        found = replace(found, pending_retry_count=expected.pending_retry_count)
    return None if found == expected else f"{subscription} is shown as {found}, and is {expected}"


def _shown(state: State, subscription: Subscription) -> Shown:
    out, waiting = subscription.counts()
    floors = {
        line.topic.name: (
            line.floor,
            line.topic.last_known,
            _lag(line),
        )
        for line in subscription.lines.values()
        if line.topic.is_known
    }
    dead = sum(place[0] == subscription.name for place in state.letters)
    return Shown(floors, len(subscription.holders), out, waiting, dead)


def _lag(line: Line) -> int:
    """Messages that are stored, as far as the broker knows, or that dead letters have, and not settled."""
    first = line.topic.first_known
    above = line.topic.last_known - max(line.next, first) + 1
    return max(0, above) + sum(seq >= first or one.is_redriven for seq, one in line.open.items())


def is_blurred(subscription: Subscription) -> bool:
    """Whether something is under way that nobody outside can know the outcome of."""
    lines = subscription.lines.values()
    return bool(subscription.going) or any(
        line.maybe or line.asked or line.topic.going or line.low is not None for line in lines
    )
