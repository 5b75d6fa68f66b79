"""What the model learns from the calls that reach the store.

A call *begins*, *takes effect*, and is *answered*: the broker's memory may follow the store only when it
is answered, and a crash leaves what took effect. What the calls carry is checked here too: no number is
given twice, nothing is stored as settled that is not, nothing dies that has not failed often enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from conduit.core.message import (
    Death,
    NewMessage,
    Progress,
    Redriven,
    SubscriptionRecord,
    SubscriptionSettings,
    TopicRecord,
)
from conduit.storage.base import TOPIC_GONE, Heard, Rule, Start
from tests.model.oracle import delivery
from tests.model.oracle.delivery import Place
from tests.model.oracle.line import Line
from tests.model.oracle.log import Stored, Violation
from tests.model.oracle.news import Former
from tests.model.oracle.state import Due, Letter, LetterPlace, State
from tests.model.oracle.subscription import Subscription

KEY_WINDOW_S = 600.0


class FromStore:
    """One method for what a call does to the model, named `did_` or `heard_` and the call."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._buried: set[str] = set()
        self._places: dict[str, LetterPlace] = {}
        """Where the dead letters are from, also those that are discarded, by id."""

    # Topics ---------------------------------------------------------------------------------------

    def did_topic_create(self, record: TopicRecord) -> None:
        topic = self.state.log.create(record.topic_id, record.name, record.epoch)
        topic.max_age_s = record.retention.max_age_s
        for subscription in self.state.subscriptions():
            if subscription.covers(topic):
                subscription.follow(topic, 0)

    def heard_topics(self, records: Sequence[TopicRecord]) -> None:
        """The broker knows these now; and that there is something, where others have written."""
        for record in records:
            topic = self.state.log.by_id.get(record.topic_id)
            if topic is not None and not topic.is_known:
                topic.is_known = True
                topic.passes(record.last_seq)
                topic.first_known = record.first_seq

    def did_topic_delete(self, topic_id: int, *_: object) -> None:
        topic = self.state.log.forget(topic_id)
        for subscription in self.state.durable.values() if topic is not None else ():
            line = subscription.lines.get(topic_id)
            if line is not None and not subscription.is_known:
                # The broker could not say that it followed the topic.
                line.is_late = True
            if line is not None and not line.is_late:
                former = Former(line.topic.epoch, line.stored.floor + 1, line.topic.last_seq)
                subscription.news.store(line.topic.name, former, self.state.now)

    def heard_topic_delete(self, topic_id: int, *_: object) -> None:
        for subscription in self.state.subscriptions():
            line = subscription.lines.get(topic_id)
            if line is not None:
                subscription.drop(line.topic)

    def heard_what_is_gone(self, call: str, records: Sequence[Any]) -> None:
        """Who did not hear what became of a deletion asks what there is."""
        if call == "topics":
            there = {record.topic_id for record in records}
            for topic in self.state.leaving.values():
                if topic.topic_id not in there:
                    self.heard_topic_delete(topic.topic_id)
        elif call == "subscriptions":
            there = {record.subscription_id for record in records}
            for subscription in tuple(self.state.durable.values()):
                if subscription.going and subscription.subscription_id not in there:
                    self.heard_subscription_delete(subscription.subscription_id)

    def did_keep_fact(self, *_: object) -> None:
        self.state.log.is_step_kept = True
        if self.state.log.is_time_kept:
            self.state.ages.kept()

    # The log --------------------------------------------------------------------------------------

    def did_append(
        self, batch: Sequence[NewMessage], seqs: Sequence[int], since: float | None = None
    ) -> None:
        """`since`: when the store was told; None: by another node, whose stamps are its own."""
        log = self.state.log
        for message, seq in zip(batch, seqs, strict=True):
            topic = log.by_id.get(message.topic_id)
            if topic is None:
                if seq != TOPIC_GONE:
                    raise Violation(f"a topic that is gone got number {seq}")
                continue
            if since is not None:
                log.stamped(topic, message.published_at_ms)
            at = self.state.now if since is None else since
            log.append(
                topic,
                seq,
                Stored(message.message_id, message.payload, message.published_at_ms, at),
            )
            if message.idempotency_key is not None:
                log.remember(topic, message.idempotency_key, seq, KEY_WINDOW_S)

    def heard_append(self, batch: Sequence[NewMessage], seqs: Sequence[int]) -> None:
        for message, seq in zip(batch, seqs, strict=True):
            topic = self.state.log.by_id.get(message.topic_id)
            if topic is not None and seq != TOPIC_GONE:
                topic.hears(seq)
                self.state.counts["published"] += 1

    def did_trim(self, topic_id: int, rule: Rule, first_seq: int) -> None:
        topic = self.state.log.by_id.get(topic_id)
        if topic is not None:
            self.state.log.aged(topic, rule, first_seq, self.state.now)
            self.trimmed(topic_id, first_seq)
            topic.trimmed()

    def trimmed(self, topic_id: int, first_seq: int) -> None:
        """The log begins with this number now."""
        topic = self.state.log.by_id.get(topic_id)
        if topic is not None:
            topic.first_seq = max(topic.first_seq, first_seq)

    def heard_trim(self, topic_id: int, first_seq: int) -> None:
        topic = self.state.log.by_id.get(topic_id)
        if topic is not None:
            topic.first_known = max(topic.first_known, first_seq)
            topic.passes(first_seq - 1)

    # Subscriptions --------------------------------------------------------------------------------

    def begin_subscription_create(self) -> dict[int, int]:
        """The newest known number of each topic: what is appended meanwhile, a new one may begin before."""
        return {topic.topic_id: topic.last_known for topic in self.state.log.by_id.values()}

    def did_subscription_create(
        self, record: SubscriptionRecord, start: Start, known: Mapping[int, int]
    ) -> None:
        subscription = Subscription(
            record.name, record.pattern, record.settings, record.subscription_id
        )
        self.state.durable[record.name] = subscription
        for topic in self.state.log.by_id.values():
            if subscription.covers(topic):
                floor = topic.floor_of(start)
                subscription.follow(topic, floor)
                low = known.get(topic.topic_id, 0)
                if floor == topic.first_seq - 1:
                    low = min(low, topic.first_known - 1)  # of what was removed it may not know yet
                subscription.lines[topic.topic_id].low = low if low < floor else None
        for gap in start.gaps:
            former = Former(gap.epoch, gap.floor + 1, gap.last_seq, gap.reason)
            subscription.news.is_gone(gap.name, former)
            subscription.news.store(gap.name, former, self.state.now)
        self.state.may_have_met(subscription)
        for line in subscription.lines.values():
            # A redrive goes to whatever subscription has the name by then.
            line.asked = self.state.redriving_of(record.name, line)

    def heard_subscription_create(self, record: SubscriptionRecord) -> None:
        """The broker knows it now; that a topic on its way out was one of its, it may not say."""
        subscription = self.state.by_id(record.subscription_id)
        if subscription is None or subscription.is_known:
            return
        subscription.is_known = True
        for line in subscription.lines.values():
            line.is_late |= bool(line.topic.going)

    def heard_subscriptions(self, records: Sequence[SubscriptionRecord]) -> None:
        """The broker knows all of these now, as they are."""
        for record in records:
            self.heard_subscription_create(record)
            self.heard_subscription_update(record.subscription_id, record.settings, record.paused)

    def heard_progress(self, rows: Sequence[Progress]) -> None:
        """Where others were, there is something: the broker learns of it."""
        for row in rows:
            topic = self.state.log.by_id.get(row.topic_id)
            if topic is not None:
                topic.last_known = max(topic.last_known, row.cursor)

    def heard_former(self, subscription_id: int) -> None:
        """It is being loaded."""
        subscription = self.state.by_id(subscription_id)
        if subscription is not None:
            subscription.news.load()

    def did_former_heard(self, heard: Sequence[Heard]) -> None:
        for one in heard:
            subscription = self.state.by_id(one.subscription_id)
            if subscription is not None:
                subscription.news.did_hear((one.name, one.epoch, one.is_over))

    def did_former_trim(self) -> None:
        """What it was told too long ago, the store does not know any more."""
        for subscription in self.state.durable.values():
            subscription.news.forget(partial(self.state.ages.is_over, now=self.state.now))

    def did_subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        subscription = self.state.by_id(subscription_id)
        if subscription is not None:
            subscription.stored = (settings, paused)

    def heard_subscription_update(
        self, subscription_id: int, settings: SubscriptionSettings, paused: bool
    ) -> None:
        subscription = self.state.by_id(subscription_id)
        if subscription is not None:
            subscription.configure(settings)
            subscription.paused = paused

    def did_subscription_delete(self, subscription_id: int) -> None:
        subscription = self.state.by_id(subscription_id)
        if subscription is not None:
            subscription.is_stored = False

    def heard_subscription_delete(self, subscription_id: int) -> None:
        subscription = self.state.by_id(subscription_id)
        if subscription is not None:
            for holder in tuple(subscription.holders):
                self.state.remove_holder(holder, lost=False)
            del self.state.durable[subscription.name or ""]

    def did_seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        for line, floor in self._lines(subscription_id, positions):
            line.stored = Place(floor + 1, floor, moves=line.moves + 1)

    def heard_seek(self, subscription_id: int, positions: Sequence[tuple[int, int]]) -> None:
        subscription = self.state.by_id(subscription_id)
        if subscription is None:
            return
        for line, floor in self._lines(subscription_id, positions):
            line.maybe.clear()
            for lost in line.lost:
                subscription.may_be_told_late((line.topic.topic_id, *lost))
            line.seek(floor)
            line.moves = max(line.moves + 1, line.stored.moves)

    def _lines(
        self, subscription_id: int, positions: Sequence[tuple[int, int]]
    ) -> list[tuple[Line, int]]:
        subscription = self.state.by_id(subscription_id)
        if subscription is None:
            return []
        lines = subscription.lines
        return [(lines[topic_id], floor) for topic_id, floor in positions if topic_id in lines]

    # Progress -------------------------------------------------------------------------------------

    def begin_settle(
        self,
        progress: Sequence[Progress],
        deaths: Sequence[Death],
        redriven: Sequence[Redriven] = (),
    ) -> list[tuple[int, Line, Place]]:
        """Check what is to be stored; returns what each line would be after a crash from then on."""
        for death in deaths:
            self._check_death(death)
        for mark in redriven:
            self._open_again(mark)
        places = []
        for row in progress:
            subscription = self.state.by_id(row.subscription_id)
            line = subscription.lines.get(row.topic_id) if subscription is not None else None
            if line is None:
                continue
            if line.low is not None and line.low <= row.floor <= row.cursor < line.next:
                if row.floor < row.cursor:
                    # Of what is out already, nobody has heard.
                    continue
                line.next = row.cursor + 1
            line.learn_floor(row.floor, self.state.now)
            if subscription is not None and not subscription.holders:
                line.pass_over(row.cursor)
            if (row.floor, row.cursor) != (line.floor, line.next - 1):
                raise Violation(
                    f"{subscription}, {line}: {row.floor}, {row.cursor} is stored as floor and cursor,"
                    f" and they are {line.floor}, {line.next - 1}"
                )
            places.append((row.subscription_id, line, line.snapshot()))
        return places

    def did_settle(
        self,
        places: Sequence[tuple[int, Line, Place]],
        deaths: Sequence[Death],
        refused: set[int],
    ) -> None:
        for subscription_id, line, place in places:
            subscription = self.state.by_id(subscription_id)
            is_there = line.topic.topic_id in self.state.log.by_id
            if subscription_id not in refused and subscription is not None and is_there:
                place.keep_grace(line.stored)
                line.stored = place
                line.redriven -= place.redriven
        for death in deaths:
            if death.subscription_id not in refused:
                self._bury(death)

    def heard_settle(self, refused: set[int]) -> None:
        """Another node runs these now: what was not stored is lost, and comes again some day."""
        self.state.due = [due for due in self.state.due if due.subscription_id not in refused]
        for subscription_id in refused:
            subscription = self.state.by_id(subscription_id)
            if subscription is None:
                continue
            for holder in tuple(subscription.holders):
                self.state.remove_holder(holder, lost=False)
            subscription.refused_count += 1
            subscription.news.restore()
            for line in subscription.lines.values():
                line.refuse(self.state.now)

    def _check_death(self, death: Death) -> None:
        due = _due(death)
        if due not in self.state.due and death.dead_id not in self._buried:
            self._may_have_died(death)
        if due not in self.state.due and death.dead_id not in self._buried:
            raise Violation(f"{due} becomes a dead letter; due are {self.state.due[:5]}")

    def _may_have_died(self, death: Death) -> None:
        """What was put off because of a deletion dies as well, if that has not begun or has failed."""
        for subscription in self.state.subscriptions():
            line = subscription.lines.get(death.topic_id)
            is_its = (subscription.name or "") == death.subscription
            if is_its and line is not None and death.seq in line.put_off:
                one = line.settle(death.seq)
                told = delivery.Death(death.seq, one.attempt, death.reason)
                self.state.died(subscription, line, told)

    def _bury(self, death: Death) -> None:
        if death.dead_id not in self._buried:
            self._buried.add(death.dead_id)
            self.state.due.remove(_due(death))
        topic = self.state.log.by_id.get(death.topic_id)
        if topic is None or (death.subscription and not self._is_stored(death.subscription)):
            return
        place = (death.subscription, death.topic_id, death.seq)
        letter = self.state.letters.get(place)
        if letter is not None:
            letter.attempts, letter.reason = death.attempts, death.reason
            letter.since = self.state.now
        else:
            # Also of a message that the log has lost: then it is without its payload.
            self.state.letters[place] = Letter(
                death.dead_id, death.attempts, death.reason, self.state.now
            )
            self._places[death.dead_id] = place
        self.state.may_find(place)

    def _is_stored(self, name: str) -> bool:
        subscription = self.state.durable.get(name)
        return subscription is not None and subscription.is_stored

    # Dead letters ---------------------------------------------------------------------------------

    def _open_again(self, mark: Redriven) -> None:
        """At the latest now it is open again."""
        place = self._places.get(mark.dead_id)
        subscription = self.state.by_id(mark.subscription_id or 0)
        line = subscription.lines.get(place[1]) if subscription is not None and place else None
        if line is not None and place is not None:
            is_certain = self.state.redriving[place] < 2
            line.mark(place[2], self.state.now, is_certain=is_certain)

    def did_dead_delete(self, dead_ids: Sequence[str]) -> None:
        letters = self.state.letters
        for place in [place for place, one in letters.items() if one.dead_id in dead_ids]:
            del letters[place]
            self.state.fates[place] = "discarded"


def _due(death: Death) -> Due:
    return Due(
        death.subscription,
        death.topic_id,
        death.seq,
        death.attempts,
        death.reason,
        death.subscription_id or 0,
    )
