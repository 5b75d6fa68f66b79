"""What becomes of the verbs that clients send, and what they must be told.

Where a client holds a message for several subscriptions and names none, one verb settles one delivery, in
the order of subscribing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from conduit.protocol.frames import Ack, Extend, Nack, Reject
from tests.model.oracle.delivery import Death
from tests.model.oracle.line import JITTER, Line
from tests.model.oracle.state import State
from tests.model.oracle.subscription import Holder, Subscription

ACKED = "acked"
UNKNOWN = "unknown_delivery"
STALE = "stale_attempt"
EITHER = "either"
"""Nothing was to be settled: whether that is known to be old, or not at all, nobody needs to know."""

Act = Callable[[Subscription, Line, int, Holder], bool]


@dataclass(frozen=True)
class Settled:
    """A delivery of a durable subscription that a client has settled. `moves`: seeks before that;
    `refused_count`: how often others had claimed it."""

    subscription: Subscription
    line: Line
    seq: int
    moves: int
    refused_count: int

    def is_refused(self) -> bool:
        """Whether another node has claimed it since: that it is settled is not stored then."""
        return self.subscription.refused_count != self.refused_count

    def is_stored(self) -> bool:
        """Whether a crash from now on leaves it settled, or another call has made that of no matter."""
        line = self.line
        is_current = self.subscription.lines.get(line.topic.topic_id) is line
        if not is_current or line.topic.going or line.stored.moves != self.moves:
            return True
        if self.is_refused():
            return True
        is_redriven = self.seq in line.open or line.may_be_redriven(self.seq)
        return is_redriven or line.stored.has_settled(self.seq)

    def __str__(self) -> str:
        return f"{self.subscription}, {self.line} {self.seq}"


@dataclass(frozen=True)
class Asked:
    """Who asks, and what the frame says of which delivery it means."""

    client: Hashable
    name: str | None
    attempt: int | None


class FromClients:
    """Each method applies one frame, and returns ACKED or the code of the error."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._settled: list[Settled] = []

    def take_settled(self) -> list[Settled]:
        """What the frames since the last call have settled."""
        settled, self._settled = self._settled, []
        return settled

    def ack(self, client: Hashable, frame: Ack) -> str:
        if frame.topic is not None:
            return self._ack_through(client, frame)
        ids = frame.message_ids if frame.message_ids is not None else [frame.message_id or ""]
        asked = Asked(client, frame.subscription, frame.attempt)
        outcomes = [self._settle(asked, message_id, self._ack) for message_id in dict.fromkeys(ids)]
        return next((outcome for outcome in outcomes if outcome != ACKED), ACKED)

    def nack(self, client: Hashable, frame: Nack) -> str:
        def act(subscription: Subscription, line: Line, seq: int, holder: Holder) -> bool:
            one = line.open[seq]
            if one.holder is not holder:
                return False
            now, rules = self.state.now, subscription.rules
            if frame.delay_ms is None:
                wait_s = rules.nack_wait(one.failures + 1)
                wait = (now + wait_s, now + wait_s * (1 + JITTER))
            else:
                wait = (now + frame.delay_ms / 1000, now + frame.delay_ms / 1000)
            self._failed(subscription, line, line.fail(seq, wait, frame.reason or "nack", rules))
            self.state.counts["nacked"] += 1
            return True

        return self._settle(_asked(client, frame), frame.message_id, act)

    def reject(self, client: Hashable, frame: Reject) -> str:
        def act(subscription: Subscription, line: Line, seq: int, holder: Holder) -> bool:
            one = line.open[seq]
            if one.holder is not holder:
                return False
            self._done(subscription, line, seq)
            self._failed(subscription, line, Death(seq, one.attempt, frame.reason or "rejected"))
            self.state.counts["rejected"] += 1
            return True

        return self._settle(_asked(client, frame), frame.message_id, act)

    def extend(self, client: Hashable, frame: Extend) -> str:
        def act(subscription: Subscription, line: Line, seq: int, holder: Holder) -> bool:
            one = line.open[seq]
            if one.holder is not holder:
                return False
            wait_s = subscription.rules.wait(one.failures + 1)
            if frame.ms is not None:
                wait_s = frame.ms / 1000
            line.extend(seq, self.state.now + wait_s)
            self.state.counts["extended"] += 1
            return True

        return self._settle(_asked(client, frame), frame.message_id, act)

    # Parts ----------------------------------------------------------------------------------------

    def _ack(self, subscription: Subscription, line: Line, seq: int, holder: Holder) -> bool:
        # Whoever has handled the message may say so, even if it has gone to another one since.
        self._done(subscription, line, seq)
        self.state.counts["acked"] += 1
        return True

    def _ack_through(self, client: Hashable, frame: Ack) -> str:
        topic = self.state.topic_called(frame.topic or "")
        through = frame.seq or 0
        for holder in self._holders(client, frame.subscription) if topic is not None else ():
            line = holder.subscription.lines.get(topic.topic_id) if topic is not None else None
            if line is None or through >= line.next:
                continue
            held = [
                seq
                for seq, one in line.open.items()
                if seq <= through and holder is (one.holder or one.last)
            ]
            out = holder.out
            for seq in held:
                self._done(holder.subscription, line, seq)
            holder.settled(out - holder.out)
            self.state.counts["acked"] += len(held)
            return ACKED if held else EITHER
        return UNKNOWN

    def _settle(self, asked: Asked, message_id: str, act: Act) -> str:
        topic, seq = self.state.log.places.get(message_id, (None, 0))
        outcome = UNKNOWN
        for holder in self._holders(asked.client, asked.name) if topic is not None else ():
            line = holder.subscription.lines.get(topic.topic_id) if topic is not None else None
            one = line.open.get(seq) if line is not None else None
            if line is None or one is None:
                continue
            if asked.attempt is not None and asked.attempt != one.attempt:
                outcome = STALE
                continue
            out = holder.out
            if act(holder.subscription, line, seq, holder):
                holder.settled(out - holder.out)
                return ACKED
        return outcome

    def _holders(self, client: Hashable, name: str | None) -> Iterable[Holder]:
        holders = self.state.holders[client]
        return [each for each in holders if name is None or each.subscription.name == name]

    def _done(self, subscription: Subscription, line: Line, seq: int) -> None:
        line.settle(seq)
        if subscription.name is not None:
            self._settled.append(
                Settled(subscription, line, seq, line.moves, subscription.refused_count)
            )

    def _failed(self, subscription: Subscription, line: Line, death: Death | None) -> None:
        if death is not None:
            self.state.died(subscription, line, death)


def _asked(client: Hashable, frame: Nack | Reject | Extend) -> Asked:
    return Asked(client, frame.subscription, frame.attempt)
