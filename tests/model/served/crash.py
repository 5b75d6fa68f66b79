"""What is left after SIGKILL: between what is known to be stored and what the server did last, anything.

The server is asked what it has of every delivery that can be meant. Whatever it answers must have been true
at some time since the last confirmation; from then on the model has what the server has.
"""

from __future__ import annotations

import time

from tests.model.oracle.delivery import Delivery
from tests.model.oracle.line import Line
from tests.model.oracle.log import Violation
from tests.model.oracle.state import Letter
from tests.model.served.client import SocketClient
from tests.model.served.world import POLL_S, Served


def adopt(world: Served) -> None:
    """Ask the server that has started again, and go on with what it says."""
    died = {(due.subscription, due.topic_id, due.seq): due for due in world.state.due}
    before = {
        (name, topic_id): line
        for name, subscription in world.state.durable.items()
        for topic_id, line in subscription.lines.items()
    }
    told = {place: _told(world, place[0], line) for place, line in before.items()}
    for (name, topic_id), line in before.items():
        found = _Found(line)
        world.story.append(f"  {name}, {line}: {told[name, topic_id]}")
        for seq, state, attempts in told[name, topic_id]:
            is_auto = world.state.durable[name].rules.is_auto
            found.check(seq, state, is_auto=is_auto)
            if state == "dead" and (due := died.get((name, topic_id, seq))) is not None:
                world.state.letters[name, topic_id, seq] = Letter("", due.attempts, due.reason)
            found.take(seq, state, attempts)
        line.stored.next, line.stored.open = found.next, found.open
        line.stored.floor = _floor(world, name, line)
        line.stored.maybe.clear()
    for place in world.letters().keys() & died.keys():
        # Of those without a name only the letters are left.
        if not place[0]:
            due = died[place]
            world.state.letters[place] = Letter("", due.attempts, due.reason)
    for subscription in world.state.durable.values():
        # What it was told may have been stored, and may have not.
        news = subscription.news
        news.load()
        news.stored = dict(news.former)
    world.state.restart()
    for line in before.values():
        # Whatever was open is: a time to wait for may be lost, and none is longer than is waited for.
        for one in line.open.values():
            one.earliest = 0.0


def _told(world: Served, name: str, line: Line) -> list[tuple[int, str, int]]:
    """Number, state and attempts of all that may not be settled, up to the first that was not handed out."""
    told = []
    first = min(line.stored.floor, line.floor) + 1
    reopened = {*line.open, *line.stored.open, *line.redriven, *line.maybe}
    redriven = sorted(seq for seq in reopened if seq < first)
    for seq in [*redriven, *range(first, line.topic.last_seq + 1)]:
        state, attempts = _delivery(world, name, line, seq)
        told.append((seq, state, attempts))
        if state == "pending" and seq >= line.next:
            break
    return told


def _floor(world: Served, name: str, line: Line) -> int:
    """Where it is shown to be. What was redriven is below it, if its death was stored, or above it."""
    shown = world.api.subscription(name)["topics"]
    (floor,) = [each["floor"] for each in shown if each["topic"] == line.topic.name]
    if not line.stored.floor <= floor <= max(line.floor, line.stored.floor):
        raise Violation(
            f"{line} is after {floor}, was after {line.stored.floor}, then {line.floor}"
        )
    return int(floor)


class _Found:
    """What one line is now, against what it was at the last confirmation and at the end."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.next = line.topic.last_seq + 1
        self.open: dict[int, Delivery] = {}

    def check(self, seq: int, state: str, *, is_auto: bool) -> None:
        """Violation for what cannot be."""
        line, stored = self._line, self._line.stored
        is_reopened = seq in line.redriven or seq in line.maybe
        was_settled = seq < stored.next and seq not in stored.open and not is_reopened
        is_settled = seq < line.next and seq not in line.open
        if state == "pending" and seq < stored.next:
            raise Violation(f"{line} {seq} was handed out, which was stored, and now it was not")
        if state in ("acked", "dead") and not is_settled and not is_auto:
            raise Violation(f"{line} {seq} counts as settled after a crash, and nobody settled it")
        if state in ("in_flight", "retrying") and was_settled and is_settled:
            raise Violation(f"{line} {seq} was settled, which was confirmed, and it is open again")

    def take(self, seq: int, state: str, attempts: int) -> None:
        """It is so from now on."""
        if state == "pending":
            self.next = min(self.next, seq)
        elif state in ("in_flight", "retrying"):
            known = self._line.open.get(seq) or self._line.stored.open.get(seq)
            losses = known.losses if known is not None else 0
            stored = self._line.stored.open.get(seq)
            # What a crash before this one may have lost was not stored by it.
            sure_losses = stored.losses - stored.unsure_losses if stored is not None else 0
            latest = known.latest if known is not None and known.holder is None else 0.0
            self.open[seq] = Delivery(
                attempts,
                losses=losses,
                latest=latest,
                unsure_losses=losses - sure_losses,
                is_unsure=True,
            )


def learn_losses(world: Served, client: SocketClient) -> None:
    """The client's connection has broken. What it had may have been lost once more than is stored, if the
    server crashed since, and only the server knows whether that was too often."""
    for holder in world.state.holders[client]:
        max_lost = holder.subscription.rules.max_lost
        for line in holder.subscription.lines.values():
            for seq, one in line.open.items():
                if one.holder is holder and one.unsure_losses and max_lost is not None:
                    is_dead = _is_dead(world, holder.subscription.name or "", line, seq, one)
                    one.losses = max_lost - 1 if is_dead else min(one.losses, max_lost - 2)


def _is_dead(world: Served, name: str, line: Line, seq: int, one: Delivery) -> bool:
    while True:
        state, attempts = _delivery(world, name, line, seq)
        if state != "in_flight" or attempts > one.attempt:
            return state == "dead"
        time.sleep(POLL_S)


def _delivery(world: Served, name: str, line: Line, seq: int) -> tuple[str, int]:
    """State and attempts of one delivery."""
    message_id = line.topic.messages[seq - 1].message_id
    answer = world.ask(lambda: world.api.get(f"/api/messages/{message_id}"), 200)
    (one,) = [each for each in answer.json["deliveries"] if each["subscription"] == name]
    return one["state"], one["attempts"]
