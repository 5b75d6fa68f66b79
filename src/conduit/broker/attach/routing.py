"""Verbs of a connection some of whose subscriptions run on other nodes: each goes where its delivery is.

A verb that names its subscription goes there. One that names none goes to the share that has passed the
message on, or else to those that run here. A request with several ids is divided, and answered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from conduit.broker.attach.asking import VerbFrame
from conduit.broker.attach.away import Away
from conduit.broker.attach.elsewhere import NOTHING, Told
from conduit.broker.attach.holder import State
from conduit.broker.attach.lookups import Lookups
from conduit.broker.attach.verbs import Verbs, check_ack, check_extend, check_nack, check_reject
from conduit.broker.deliver.subscriber import Outlet
from conduit.broker.turn import Turn
from conduit.core.topics import matches
from conduit.errors import ConduitError
from conduit.protocol.codec import error_frame, server_frame
from conduit.protocol.frames import Ack, Acked, ErrorFrame, Extend, Nack, Reject

Place = tuple[str, str | None]
"""What a subscription is to, and its name."""


class _Answer:
    """To one frame of the client, when all its parts are known: the first error that came, or `acked`."""

    __slots__ = ("_error", "_left_count", "_message_id", "_outlet", "_ref")

    def __init__(self, outlet: Outlet, ref: str | None, message_id: str | None, count: int) -> None:
        self._outlet = outlet
        self._ref = ref
        self._message_id = message_id
        self._left_count = count
        self._error: ConduitError | ErrorFrame | None = None

    def told(self, error: ConduitError | ErrorFrame | None) -> None:
        """See `Told`; of one part."""
        self._left_count -= 1
        if error is not NOTHING:
            self._error = self._error or error
        if self._left_count or self._ref is None:
            return
        if self._error is None:
            self._outlet.write(server_frame(Acked(self._ref, self._message_id)))
        elif isinstance(self._error, ConduitError):
            self._outlet.write(error_frame(self._error, self._ref))
        else:
            self._outlet.write(server_frame(msgspec.structs.replace(self._error, ref=self._ref)))


class _Through:
    """An ack up to a number, and no name: one of those that have the topic's messages settles it, the first
    that has some of them. Who is asked, and answers that it has none, is followed by the next one."""

    def __init__(self, answer: _Answer, asked: Iterable[Callable[[Told], None]]) -> None:
        self._answer = answer
        self._asked = iter(asked)
        self._error: ConduitError | ErrorFrame | None = None
        self._is_known = False

    def go_on(self) -> None:
        """Ask the next one."""
        ask = next(self._asked, None)
        if ask is not None:
            ask(self._told)
        else:
            self._answer.told(None if self._is_known else self._error)

    def _told(self, error: ConduitError | ErrorFrame | None) -> None:
        if error is NOTHING:
            self._is_known = True
        elif error is None or error.code != "unknown_delivery":
            self._answer.told(error)
            return
        else:
            self._error = self._error or error
        self.go_on()


class Aways:
    """The shares of one connection that are away, by place, in the order of subscribing."""

    __slots__ = ("_first", "_has_left", "_turn", "by_place", "leaving")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        # Who is served first when the socket drains: each in turn.
        self._first = 0
        self._has_left = asyncio.Event()
        self.by_place: dict[Place, Away] = {}
        self.leaving: set[Away] = set()
        """Those that the client has left, and of whose verbs some are on their way."""

    def leave(self, place: Place) -> Away:
        """The client leaves this one; it is `left` when nothing of it is on its way."""
        away = self.by_place.pop(place)
        self.leaving.add(away)
        return away

    def left(self, away: Away) -> None:
        """See `Holder.away_over`."""
        self.leaving.discard(away)
        self._has_left.set()
        self._has_left = asyncio.Event()

    async def flushed(self, place: Place) -> None:
        """Wait until nothing of what the client had there before follows any more."""
        while any(each.place == place and each.state is State.FLUSHING for each in self.leaving):
            await self._has_left.wait()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is away, and nothing on its way there."""
        return not self.by_place and not self.leaving

    def __len__(self) -> int:
        return len(self.by_place)

    def __iter__(self) -> Iterator[Away]:
        return iter(tuple(self.by_place.values()))

    @property
    def is_busy(self) -> bool:
        """Whether nothing more should be read of the client. Asks all of them: who is told that must hear of
        the end of it from each."""
        return sum([away.is_busy for away in (*self.by_place.values(), *self.leaving)]) > 0

    @property
    def held_bytes(self) -> int:
        """What they keep in memory."""
        return sum(away.size_bytes for away in (*self.by_place.values(), *self.leaving))

    def drained(self) -> None:
        """The socket drains: those that wait for it go on, one frame of each in turn."""
        aways = (*self.by_place.values(), *self.leaving)
        self._first = (self._first + 1) % len(aways) if aways else 0
        for away in aways[self._first :] + aways[: self._first]:
            self._turn.add(away)

    def named(self, subscription: str) -> Away | None:
        """The one of this name."""
        return next((each for each in self.by_place.values() if each.name == subscription), None)

    def holding(self, message_id: str) -> Away | None:
        """The first that has passed the message on."""
        return next(
            (each for each in self.by_place.values() if message_id in each.inflow.passed), None
        )

    def following(self, topic: str) -> list[Away]:
        """Those that the topic belongs to."""
        return [each for each in self.by_place.values() if matches(each.place[0], topic)]

    def after_move(self) -> Away | None:
        """The one that the client may have deliveries of which none was passed on."""
        return next((each for each in self.by_place.values() if each.was_here), None)


class Routing:
    """Takes the place of `Verbs` as long as a share is away."""

    def __init__(self, verbs: Verbs, aways: Aways, outlet: Outlet) -> None:
        self._verbs = verbs
        self._aways = aways
        self._outlet = outlet

    @property
    def lookups(self) -> Lookups:
        """See `Verbs`."""
        return self._verbs.lookups

    @property
    def is_busy(self) -> bool:
        """See `Verbs`."""
        return self._verbs.is_busy or self._aways.is_busy

    def ack(self, frame: Ack) -> None:
        """See `Verbs.ack`."""
        message_ids = check_ack(frame)
        if message_ids is None:
            self._ack_through(frame)
            return
        if frame.subscription is not None:
            away = self._aways.named(frame.subscription)
            parts = {away: list(message_ids)}
        else:
            parts = {}
            for message_id in message_ids:
                parts.setdefault(self._whose(message_id), []).append(message_id)
        for away, ids in parts.items():
            if away is not None:
                for message_id in ids:
                    away.inflow.passed.discard(message_id)
        self._divide(frame, parts)

    def nack(self, frame: Nack) -> None:
        """See `Verbs.nack`."""
        check_nack(frame)
        away = self._whose_one(frame)
        if away is None:
            self._verbs.nack(frame)
        else:
            # The next one of that message is about another copy, or about its next attempt.
            away.inflow.passed.discard(frame.message_id)
            self._ask(away, frame, frame.message_id)

    def reject(self, frame: Reject) -> None:
        """See `Verbs.reject`."""
        check_reject(frame)
        away = self._whose_one(frame)
        if away is None:
            self._verbs.reject(frame)
        else:
            # The next one of that message is about another copy, or about its next attempt.
            away.inflow.passed.discard(frame.message_id)
            self._ask(away, frame, frame.message_id)

    def extend(self, frame: Extend) -> None:
        """See `Verbs.extend`."""
        check_extend(frame)
        away = self._whose_one(frame)
        if away is None:
            self._verbs.extend(frame)
        else:
            self._ask(away, frame, frame.message_id)

    # Parts ----------------------------------------------------------------------------------------

    def _divide(self, frame: Ack, parts: dict[Away | None, list[str]]) -> None:
        if len(parts) == 1:
            ((away, ids),) = parts.items()
            if away is None:
                self._verbs.ack(frame)
            else:
                self._ask(away, frame, ids[0] if len(ids) == 1 else None)
            return
        told: Told | None = None
        if frame.ref is not None:
            told = _Answer(self._outlet, frame.ref, None, len(parts)).told
        for away, ids in parts.items():
            part = Ack(message_ids=ids)
            if away is None:
                self._verbs.ack(part, told)
            else:
                away.ask(part, told)

    def _ack_through(self, frame: Ack) -> None:
        assert frame.topic is not None
        if frame.subscription is not None:
            named = self._aways.named(frame.subscription)
            parts: list[Away | None] = [named]
        else:
            parts = [*self._aways.following(frame.topic)]
            if self._verbs.follows(frame.topic) or not parts:
                parts.append(None)
        if len(parts) > 1:
            asked = [partial(self._ask_through, part, frame) for part in parts]
            _Through(_Answer(self._outlet, frame.ref, None, 1), asked).go_on()
        elif parts[0] is None:
            self._verbs.ack(frame)
        else:
            self._ask(parts[0], frame, None)

    def _ask_through(self, part: Away | None, frame: Ack, told: Told) -> None:
        again = Ack(topic=frame.topic, seq=frame.seq)
        if part is None:
            self._verbs.ack(again, told)
        else:
            part.ask(again, told)

    def _whose(self, message_id: str) -> Away | None:
        """None: of those that run here, or nobody's."""
        away = self._aways.holding(message_id)
        if away is None and not self._verbs.has_subscribers:
            away = self._aways.after_move()
        return away

    def _whose_one(self, frame: Nack | Reject | Extend) -> Away | None:
        if frame.subscription is not None:
            return self._aways.named(frame.subscription)
        return self._whose(frame.message_id)

    def _ask(self, away: Away, frame: VerbFrame, message_id: str | None) -> None:
        told: Told | None = None
        if frame.ref is not None:
            told = _Answer(self._outlet, frame.ref, message_id, 1).told
        away.ask(frame, told)
