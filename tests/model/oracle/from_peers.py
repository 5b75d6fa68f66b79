"""What the model learns from the frames that clients get, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from conduit.core.message import SubscriptionSettings
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import StartAt, StartPosition, Subscribe
from tests.model.oracle.line import Line
from tests.model.oracle.log import Topic, Violation
from tests.model.oracle.state import State
from tests.model.oracle.subscription import Holder, Subscription

ToldGap = tuple[str, int, int | None, str]
"""Topic, first and last number, reason."""


class Seen(msgspec.Struct, kw_only=True):
    """Any server frame: the fields that the model looks at."""

    type: str
    topic: str = ""
    subscription: str | None = None
    seq: int | None = None
    epoch: str | None = None
    attempt: int = 0
    failures: int = 0
    message_id: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")
    from_seq: int = 0
    to_seq: int | None = None
    reason: str = ""
    recovered: bool | None = None
    ref: str | None = None
    code: str = ""


@dataclass
class Welcome:
    """What a client must be told when its stream begins."""

    seqs: tuple[int | None, ...] = (None,)
    epoch: str | None = None
    recovered: tuple[bool | None, ...] = (None,)
    gaps: list[ToldGap] = field(default_factory=list)


class FromPeers:
    """One method for each type of frame."""

    def __init__(self, state: State, *, is_direct: bool = False) -> None:
        """`is_direct`: frames are seen when they are written, so that none may have what the broker knows to
        be gone."""
        self.state = state
        self._is_direct = is_direct
        self._gaps: dict[Hashable, list[ToldGap]] = {}
        """Gaps that a client must be told next."""

    # Coming and going -----------------------------------------------------------------------------

    def subscribed(self, client: Hashable, frame: Seen, asked: Subscribe) -> None:
        """The client is attached from now on."""
        welcome = Welcome()
        if frame.subscription is None:
            subscription = Subscription(None, asked.topic, asked_settings(asked))
            self._begin(subscription, asked, welcome)
            self.state.unnamed.append(subscription)
            self.state.may_have_met(subscription)
        else:
            found = self.state.durable.get(frame.subscription)
            if found is None:
                raise Violation(f"{frame.subscription} does not exist, and a client is attached")
            subscription = found
        topic = self.state.topic_called(asked.topic)
        if topic is not None and topic.topic_id in subscription.lines:
            line = subscription.lines[topic.topic_id]
            welcome.seqs, welcome.epoch = (line.floor, line.low), topic.epoch
        self.state.add_holder(client, subscription, asked.prefetch)
        if frame.subscription is None:
            # Of a topic that only the broker still has, nothing is known any more.
            if topic is None or topic.topic_id in self.state.log.by_id:
                self._check_welcome(frame, welcome)
            self._gaps[client] = welcome.gaps

    def _check_welcome(self, frame: Seen, welcome: Welcome) -> None:
        told = (frame.seq, frame.epoch, frame.recovered)
        is_right = frame.recovered in welcome.recovered and frame.seq in welcome.seqs
        if not is_right or frame.epoch != welcome.epoch:
            raise Violation(f"subscribed says {told}, and it is {welcome}")

    def _begin(self, subscription: Subscription, asked: Subscribe, welcome: Welcome) -> None:
        """Where an unnamed subscriber's stream begins in every topic that there is."""
        positions = None
        if isinstance(asked.start, StartAt):
            positions = asked.start.positions
            if asked.start.seq is not None:
                positions = {asked.topic: StartPosition(asked.start.seq, asked.start.epoch)}
        for topic in self.state.log.by_id.values():
            if subscription.covers(topic):
                subscription.follow(topic, self._floor(topic, asked))
        if positions is not None:
            welcome.recovered = (True,)
            others = [
                line for line in subscription.lines.values() if line.topic.name not in positions
            ]
            if any(line.floor == 0 and line.topic.first_seq > 1 for line in others):
                # What was published since the time is gone; the stream itself tells that.
                welcome.recovered = (True, False)
        for name, position in (positions or {}).items():
            topic = self.state.topic_called(name)
            self._at_position(subscription, topic, name, position, welcome)
        if welcome.gaps:
            welcome.recovered = (False,)

    def _floor(self, topic: Topic, asked: Subscribe) -> int:
        if not topic.is_known:
            # Another node made it: once this one learns of it, rather too much comes than too little.
            return 0
        if asked.start == "earliest":
            return topic.first_seq - 1
        if isinstance(asked.start, StartAt) and asked.start.time is not None:
            return topic.seq_at(parse_time(asked.start.time)) - 1
        return topic.last_known

    def _at_position(
        self,
        subscription: Subscription,
        topic: Topic | None,
        name: str,
        position: StartPosition,
        welcome: Welcome,
    ) -> None:
        gap = None
        if topic is None or not topic.is_known:
            gap = (name, position.seq, None, "epoch_changed")
        elif position.epoch is not None and position.epoch != topic.epoch:
            gap = (name, position.seq, None, "epoch_changed")
            subscription.follow(topic, topic.first_known - 1)
        elif position.seq > self._heard_of(topic, position.seq) + 1:
            gap = (name, topic.last_known + 1, position.seq - 1, "log_lost")
            subscription.follow(topic, topic.last_known)
        else:
            subscription.follow(topic, position.seq - 1)
            if position.seq < topic.first_seq:
                # The stream itself tells this gap, unless the tail still has it.
                welcome.recovered = (True, False)
        if gap is not None:
            welcome.gaps.append(gap)

    def _heard_of(self, topic: Topic, seq: int) -> int:
        """Up to which number the broker knows the topic, now that the log was asked where it ends: of what
        others have stored it hears as far as the client knows of it."""
        topic.last_known = max(topic.last_known, min(topic.last_seq, seq - 1))
        return topic.last_known

    def left(self, client: Hashable, holder: Holder, *, lost: bool) -> None:
        """The client has left one subscription."""
        self.state.remove_holder(holder, lost=lost)

    def gone(self, client: Hashable, *, lost: bool) -> None:
        """The client's connection has ended."""
        for holder in tuple(self.state.holders[client]):
            self.state.remove_holder(holder, lost=lost)
        self._gaps.pop(client, None)

    def sent_away(self, client: Hashable) -> None:
        """The client is told to go: a topic that it named is not here any more."""
        for holder in tuple(self.state.holders[client]):
            topic = self.state.topic_called(holder.subscription.pattern)
            if topic is not None and topic.going:
                self.state.remove_holder(holder, lost=False)

    # Messages -------------------------------------------------------------------------------------

    def message(self, client: Hashable, frame: Seen) -> None:
        """The client was given a delivery."""
        holder = self.holder(client, frame.topic, frame.subscription)
        subscription = holder.subscription
        topic = self.state.topic_called(frame.topic)
        if topic is None:
            raise Violation(f"a message of {frame.topic}, which does not exist")
        self._check_content(topic, frame)
        topic.passes(frame.seq or 0)
        if subscription.name is None and self._gaps.get(client):
            raise Violation(f"a message before the gaps {self._gaps[client]}")
        former = subscription.news.former.get(topic.name)
        is_anew = former is not None and former.is_made_anew(topic) and not topic.going
        if is_anew and (topic.name, former.epoch, "made anew") not in holder.knows:
            raise Violation(f"{subscription} was not told that {topic.name} was made anew")
        self.state.counts["delivered"] += 1
        self.state.counts["redelivered"] += frame.attempt > 1
        if subscription.paused:
            raise Violation(f"{subscription} is paused, and was given {frame.topic} {frame.seq}")
        if not subscription.rules.is_auto and holder.out >= holder.window:
            raise Violation(f"{subscription} was given more than its window: {holder.out} are out")
        if topic.topic_id not in subscription.lines and topic.topic_id not in self.state.log.by_id:
            # It came when the store had forgotten the topic, and the broker did not know that yet.
            return
        line = subscription.line_of(topic)
        seq = frame.seq or 0
        if subscription.rules.is_auto:
            holder.settled(1)
        self._check_stored(subscription, topic, seq)
        waiting = subscription.counts()[1]
        if seq == line.next and waiting >= self.state.max_waiting:
            raise Violation(f"{subscription} was given {line} {seq}, and {waiting} wait already")
        line.give(seq, frame.attempt, holder, self.state.now, subscription.rules)
        if seq in line.open and line.open[seq].failures != frame.failures:
            failures = line.open[seq].failures
            raise Violation(f"{line} {seq}: {frame.failures} failures are told, of {failures}")

    def _check_content(self, topic: Topic, frame: Seen) -> None:
        seq = frame.seq or 0
        if not 1 <= seq <= topic.last_seq:
            raise Violation(f"{topic.name} {seq} was delivered, and is not in the log")
        stored = topic.messages[seq - 1]
        if (frame.message_id, bytes(frame.payload)) != (stored.message_id, stored.payload):
            raise Violation(f"{topic.name} {seq} was delivered with another message's content")
        if frame.epoch != topic.epoch:
            raise Violation(f"{topic.name} {seq} has epoch {frame.epoch}, not {topic.epoch}")

    def _check_stored(self, subscription: Subscription, topic: Topic, seq: int) -> None:
        place = (subscription.name or "", topic.topic_id, seq)
        was_letter = place in self.state.letters or place in self.state.fates
        if self._is_direct and seq < topic.first_known and not was_letter:
            raise Violation(
                f"{subscription} was given {topic.name} {seq}, and the log begins with {topic.first_known}"
            )

    def gap(self, client: Hashable, frame: Seen) -> None:
        """The client was told that messages cannot be given."""
        told: ToldGap = (frame.topic, frame.from_seq, frame.to_seq, frame.reason)
        expected = self._gaps.get(client) if frame.subscription is None else None
        if expected and expected[0] == told:
            # On a socket that drains slowly what happens meanwhile may be told before.
            del expected[0]
            self.state.counts["gap"] += 1
            return
        self.state.counts["gap"] += 1
        holder = self.holder(client, frame.topic, frame.subscription)
        if frame.reason != "retention":
            self._news(holder, frame)
            return
        topic = self.state.topic_called(frame.topic)
        if topic is None:
            return
        line = holder.subscription.line_of(topic)
        lost = (frame.from_seq, frame.to_seq or 0)
        what = (topic.topic_id, *lost)
        if what in holder.is_late_with:
            holder.is_late_with.discard(what)
            return
        line.gap(*lost)
        if holder.subscription.name is None:
            line.hear(*lost)
        else:
            holder.tell(what, partial(self._heard, holder.subscription, line, lost))

    def _heard(self, subscription: Subscription, line: Line, lost: tuple[int, int]) -> None:
        """Somebody has heard of it."""
        line.hear(*lost)
        subscription.may_be_told_late((line.topic.topic_id, *lost))

    def untold(self) -> list[ToldGap]:
        """Gaps that clients must be told, and were not yet."""
        there = [one.holders[0].client for one in self.state.unnamed]
        return [gap for client in there for gap in self._gaps.get(client, ())]

    def _news(self, holder: Holder, frame: Seen) -> None:
        """The client is told what will not come of a topic that is gone, or of a position."""
        subscription, name, epoch = holder.subscription, frame.topic, frame.epoch or ""
        there, leaving = self.state.log.by_name.get(name), self.state.leaving.get(name)
        if leaving is not None and leaving.epoch == epoch:
            # It is deleted, and the broker has not heard that yet.
            there = leaving
        told = (frame.from_seq, frame.to_seq, frame.reason, epoch)
        if subscription.news.is_late(name, epoch):
            return
        former = subscription.news.tell(name, told, there)
        is_anew = bool(epoch) and frame.reason == "epoch_changed"
        what = (name, former.epoch, "made anew" if is_anew else former.reason)
        heard = partial(subscription.news.hear, name, former, bool(epoch))
        holder.tell(what, heard)
        if subscription.name is None:
            heard()

    def holder(self, client: Hashable, topic: str, name: str | None) -> Holder:
        """Whose frame it is: named subscriptions are named, and a client has one unnamed one."""
        for holder in self.state.holders[client]:
            if holder.subscription.name == name:
                return holder
        raise Violation(f"{topic} for {name!r} came to {client}, which has no such subscription")


def asked_settings(asked: Subscribe) -> SubscriptionSettings:
    """The settings of a subscription that this frame creates; the model's frames set what matters."""
    fields = set(SubscriptionSettings.__struct_fields__) & set(Subscribe.__struct_fields__)
    given = {name: getattr(asked, name) for name in fields}
    return SubscriptionSettings(
        **{name: value for name, value in given.items() if value not in (None, msgspec.UNSET)}
    )
