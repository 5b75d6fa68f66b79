"""From a disturbance until the nodes have settled: what comes is checked against bounds, and kept.

Which of it is true in the end the owners say; from then on the model has what they have.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from conduit.protocol.frames import Ack, Extend, Nack, Reject
from tests.model.linked.bounds import OUT, Bounds, Told
from tests.model.oracle.delivery import Delivery, Place
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.line import Line
from tests.model.oracle.log import Topic, Violation
from tests.model.oracle.state import Due, Letter
from tests.model.oracle.subscription import Holder, Subscription
from tests.model.served.client import SocketClient

if TYPE_CHECKING:
    from tests.model.linked.world import Linked

LinePlace = tuple[str, int]
"""Subscription and topic."""

ALLOWED = ("", "unavailable", "unknown_delivery", "stale_attempt")
# Longer than the interval in which progress is stored: what stays the same for so long is all.
STILL_S = 0.35
# After a nack something may come so late.
NACK_MAX_S = 6.0


class Unrest:
    """`names` are the subscriptions that it concerns, `lost` those of which the owner's memory is lost, and
    `is_killed` says that its node was killed. `sure` is what was stored or agreed of each line."""

    def __init__(
        self,
        world: Linked,
        names: set[str],
        lost: set[str],
        sure: Mapping[LinePlace, Place],
        *,
        is_killed: bool,
    ) -> None:
        self._world = world
        self._is_killed = is_killed
        self.names = names
        self.lost = lost
        self._bounds: dict[LinePlace, Bounds] = {}
        self._asked: dict[str, tuple[str, list[tuple[Bounds, int]]]] = {}
        """By ref: what was asked, and for which deliveries."""
        self.unpaused: set[str] = set()
        """Those that were paused or not meanwhile: their owner hears of it later."""
        self._forgotten: list[Due] = []
        """Deaths of what was moved since, which may be stored or not."""
        self.is_settling = False
        """Whether something was settled since."""
        for name in names & world.state.durable.keys():
            subscription = world.state.durable[name]
            for topic_id, line in subscription.lines.items():
                self._bound(name, line, sure.get((name, topic_id), line.stored))
        for client in world.clients_there():
            for ref in client.expected:
                self._asked[ref] = ("", [])

    def _bound(self, name: str, line: Line, sure: Place) -> Bounds:
        rules = self._world.state.durable[name].rules
        is_lost = name in self.lost
        found = Bounds(
            line, line.stored if is_lost else sure, line.snapshot(), rules.is_auto, is_lost
        )
        found.is_killed = is_lost and self._is_killed
        found.held = {
            seq: (one.holder.client, one.attempt)
            for seq, one in line.open.items()
            if one.holder is not None
        }
        self._bounds[name, line.topic.topic_id] = found
        return found

    def of(self, name: str, line: Line) -> Bounds:
        """The bounds of a line; its topic may have been made since."""
        found = self._bounds.get((name, line.topic.topic_id))
        return found or self._bound(name, line, Place(1, 0))

    # What happens ---------------------------------------------------------------------------------

    def message(self, client: SocketClient, frame: Seen) -> None:
        """A client was given something of a subscription that it concerns."""
        world = self._world
        holder = world.peers.holder(client, frame.topic, frame.subscription)
        topic = world.state.topic_called(frame.topic)
        if topic is None:
            raise Violation(f"a message of {frame.topic}, which does not exist")
        world.peers._check_content(topic, frame)
        subscription = holder.subscription
        if subscription.paused and subscription.name not in self.unpaused:
            raise Violation(f"{subscription} is paused, and was given {frame.topic} {frame.seq}")
        bounds = self.of(subscription.name or "", subscription.line_of(topic))
        bounds.give(client, frame)
        self.is_settling |= bounds.is_auto

    def held(self, client: SocketClient) -> list[tuple[str | None, Topic, int]]:
        """What the client has of these, as a step of settling names it."""
        names = [holder.subscription.name for holder in self._world.state.holders[client]]
        return [
            (name, bounds.line.topic, seq)
            for (name, topic_id), bounds in self._bounds.items()
            if name in names and topic_id in self._world.state.log.by_id
            for seq in bounds.places(client)
        ]

    def asks(
        self, verb: Ack | Nack | Reject | Extend, places: Iterable[tuple[str | None, Topic, int]]
    ) -> None:
        """A client asks this for these deliveries."""
        how = {Ack: "ack", Nack: "nack", Reject: "reject"}.get(type(verb), "extend")
        meant = [(self._bounds[name or "", topic.topic_id], seq) for name, topic, seq in places]
        for bounds, seq in meant:
            bounds.tries(seq, how)
        self.is_settling = True
        if verb.ref is not None:
            self._asked[verb.ref] = (how, meant)

    def answered(self, client: SocketClient, frame: Seen) -> bool:
        """Whether the answer is to something that was asked since. Violation if it is wrong."""
        asked = self._asked.pop(frame.ref or "", None)
        if asked is None:
            return False
        if frame.code not in ALLOWED:
            raise Violation(f"{client} was told {frame.code} in unrest")
        how, meant = asked
        if not frame.code and how in ("ack", "reject"):
            for bounds, seq in meant:
                bounds.acked(seq)
        return True

    def floor(self, name: str, line: Line) -> int | None:
        """Where a view must show it at least; None if that is not known."""
        found = self._bounds.get((name, line.topic.topic_id))
        if found is None or found.is_free or line.redriven or line.maybe:
            return None
        return found.sure.floor

    def was_moved(self, name: str) -> None:
        """By a seek that is stored."""
        subscription = self._world.state.durable[name]
        for line in subscription.lines.values():
            self._bound(name, line, line.stored)
            self._bounds[name, line.topic.topic_id].is_free = True

    def forget_deaths(self, name: str) -> None:
        """Whether what had died by now is a dead letter, is seen in the end."""
        due = self._world.state.due
        self._forgotten += [one for one in due if one.subscription == name]
        due[:] = [one for one in due if one.subscription != name]

    # The end --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Wait until nothing moves, and take over what the owners have. Violation if that cannot be."""
        deadline = time.monotonic() + self._world.agree_within_s
        before: object = None
        while True:
            self._world.listen()
            told = self._told()
            reason = self._unfinished(told)
            if reason is None and told == before:
                break
            if time.monotonic() > deadline:
                raise Violation(reason or f"the owners do not come to rest: {told}")
            before = told
            time.sleep(STILL_S)
        self._world.story.append(f"  found {told}")
        for place, states in told.items():
            self._adopt(place, states)
        self._find_deaths()
        self._forget_news()

    def _find_deaths(self) -> None:
        letters = self._world.letters() if self._forgotten else {}
        for due in self._forgotten:
            if world_place(due) in letters:
                letter = Letter("", due.attempts, due.reason)
                self._world.state.letters[world_place(due)] = letter

    def _lines(self) -> Iterable[tuple[LinePlace, Subscription, Line]]:
        for name in sorted(self.names & self._world.state.durable.keys()):
            subscription = self._world.state.durable[name]
            for topic_id, line in subscription.lines.items():
                yield (name, topic_id), subscription, line

    def _told(self) -> dict[LinePlace, dict[int, Told]]:
        """State and attempts of all that may not be settled, as the owner has it."""
        found = {}
        for place, _, line in self._lines():
            bounds = self.of(place[0], line)
            first = bounds.first
            reopened = {*line.redriven, *line.maybe, *bounds.latest.open, *bounds.sure.open}
            seqs = sorted({*range(first, line.topic.last_seq + 1), *reopened})
            found[place] = {seq: self._world.delivery(place[0], line, seq) for seq in seqs}
        return found

    def _unfinished(self, told: Mapping[LinePlace, Mapping[int, Told]]) -> str | None:
        """What must still happen."""
        for client in self._world.clients_there():
            if client.expected:
                return f"{client} was not answered: {client.expected}"
        for name in self.names & self._world.state.durable.keys():
            count = len(self._world.state.durable[name].holders)
            view = self._world.pair.owner(name).api.subscription(name)
            if view["subscribers"] != count:
                return f"{name} has {view['subscribers']} subscribers of {count}: {view}"
        for place, states in told.items():
            bounds = self._bounds[place]
            for seq, one in states.items():
                if one.state == "in_flight" and self._holder(bounds, seq, one) is None:
                    return f"{place[0]}, {bounds.line} {seq} is out with nobody: {one}"
                tried = bounds.tried.get(seq, Counter())
                if one.state == "acked" and tried["reject"] and not tried["ack"]:
                    return f"{place[0]}, {bounds.line} {seq} died, and is no dead letter"
        return None

    def _holder(self, bounds: Bounds, seq: int, told: Told) -> Holder | None:
        """Who is attached, and has it."""
        had = [bounds.held[seq]] if seq in bounds.held else []
        had += [(client, frame.attempt) for client, frame in bounds.given.get(seq, ())]
        for client, attempt in had[::-1]:
            for holder in self._world.state.holders[client]:
                is_its = bounds.line in holder.subscription.lines.values()
                if is_its and holder.subscription.name and attempt == told.attempts:
                    return holder
        return None

    def _adopt(self, place: LinePlace, states: Mapping[int, Told]) -> None:
        """From now on the line is as it is told."""
        world, bounds = self._world, self._bounds[place]
        subscription, line, now = world.state.durable[place[0]], bounds.line, world.state.now
        stored, redriven = line.stored, set(line.redriven)
        for seq, one in states.items():
            bounds.check(seq, one)
            self._bury(place, seq, one)
        handed = [seq for seq, one in states.items() if one.state != "pending"]
        # What was redriven may be below that.
        following = max([bounds.first - 1, *handed]) + 1
        pending = [seq for seq, one in states.items() if one.state == "pending" and seq < following]
        if pending:
            raise Violation(f"{subscription}, {line} {pending} was left out: {states}")
        opened = {
            seq: self._opened(bounds, seq, one) for seq, one in states.items() if one.state in OUT
        }
        line.stored = Place(
            following, world.shown_floor(place[0], line), opened, moves=line.moves, lost=line.lost
        )
        for holder in subscription.holders:
            holder.out -= sum(one.holder is holder for one in line.open.values())
        for delivery in line.open.values():
            delivery.holder = None
        line.restore(now)
        for seq, one in states.items():
            who = self._holder(bounds, seq, one) if one.state == "in_flight" else None
            if who is not None:
                line._put_out(line.open[seq], who, now + world.wait_s)
            elif one.state in OUT and bounds.tried.get(seq, Counter())["nack"]:
                line.open[seq].latest = now + NACK_MAX_S
        line.stored, line.redriven = stored, redriven
        world.done |= {
            (*place, seq) for seq in bounds.done if states.get(seq, Told("", 0)).state == "acked"
        }

    def _opened(self, bounds: Bounds, seq: int, told: Told) -> Delivery:
        known = bounds.latest.open.get(seq) or bounds.sure.open.get(seq)
        given = bounds.given.get(seq)
        failures = 0 if known is None else known.failures
        if given:
            failures = given[-1][1].failures
        one = Delivery(told.attempts, failures=failures)
        one.losses = 0 if known is None else known.losses
        one.latest = 0.0 if known is None or given else known.latest
        if bounds.is_lost:
            sure = bounds.sure.open.get(seq)
            one.unsure_losses = one.losses - (0 if sure is None else sure.losses)
        one.is_unsure = bounds.is_lost or bool(bounds.tried.get(seq, Counter())["nack"])
        return one

    def _bury(self, place: LinePlace, seq: int, told: Told) -> None:
        """What died must be a dead letter; what was not stored of that did not happen."""
        state, where = self._world.state, (*place, seq)
        due = next((one for one in state.due if world_place(one) == where), None)
        if due is not None:
            state.due.remove(due)
        if told.state != "dead" or where in state.letters:
            return
        letter = self._world.letters().get(where)
        if letter is None:
            raise Violation(f"{where} is dead, and no dead letter")
        state.letters[where] = Letter("", letter["attempts"], letter["reason"])

    def _forget_news(self) -> None:
        for name in self.names & self._world.state.durable.keys():
            news = self._world.state.durable[name].news
            news.load()
            for topic, former in news.former.items():
                news.may_be_told(topic, former)
            if self.is_settling:
                news.former.clear()


def world_place(due: Due) -> tuple[str, int, int]:
    """Where something died."""
    return due.subscription, due.topic_id, due.seq
