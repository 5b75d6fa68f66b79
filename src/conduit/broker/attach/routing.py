"""Verbs of a connection some of whose subscriptions run on other nodes: each goes where its delivery is.

A verb that names its subscription goes there. One that names none goes to the share that has passed the
message on, or else to those that run here. A request with several ids is divided, and answered once.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from conduit.broker.attach.asking import VerbFrame
from conduit.broker.attach.away import Away
from conduit.broker.attach.elsewhere import Told
from conduit.broker.attach.lookups import Lookups
from conduit.broker.attach.verbs import Verbs, check_ack, check_extend, check_nack, check_reject
from conduit.broker.deliver.subscriber import Outlet
from conduit.broker.turn import Turn
from conduit.core.topics import matches
from conduit.errors import ConduitError
from conduit.protocol.codec import decode_client_frame, error_frame, server_frame
from conduit.protocol.frames import Ack, Acked, ErrorFrame, Extend, Nack, Reject

Place = tuple[str, str | None]
"""What a subscription is to, and its name."""


class _Answer:
    """To one frame of the client, when all its parts are known: the first error that came, or `acked`."""

    __slots__ = ("_error", "_left_count", "_message_id", "_outlet", "_ref")

    def __init__(self, outlet: Outlet, ref: str, message_id: str | None, count: int) -> None:
        self._outlet = outlet
        self._ref = ref
        self._message_id = message_id
        self._left_count = count
        self._error: ConduitError | ErrorFrame | None = None

    def told(self, error: ConduitError | ErrorFrame | None) -> None:
        """See `Told`; of one part."""
        self._left_count -= 1
        self._error = self._error or error
        if self._left_count:
            return
        if self._error is None:
            self._outlet.write(server_frame(Acked(self._ref, self._message_id)))
        elif isinstance(self._error, ConduitError):
            self._outlet.write(error_frame(self._error, self._ref))
        else:
            self._outlet.write(server_frame(msgspec.structs.replace(self._error, ref=self._ref)))


class Aways:
    """The shares of one connection that are away, by place, in the order of subscribing."""

    __slots__ = ("_first", "_turn", "by_place")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        # Who is served first when the socket drains: each in turn.
        self._first = 0
        self.by_place: dict[Place, Away] = {}

    def __len__(self) -> int:
        return len(self.by_place)

    def __iter__(self) -> Iterator[Away]:
        return iter(tuple(self.by_place.values()))

    @property
    def is_busy(self) -> bool:
        """Whether nothing more should be read of the client. Asks all of them: who is told that must hear of
        the end of it from each."""
        return sum([away.is_busy for away in self.by_place.values()]) > 0

    @property
    def held_bytes(self) -> int:
        """What waits for the socket."""
        return sum(away.inflow.held_bytes for away in self.by_place.values())

    def drained(self) -> None:
        """The socket drains: those that wait for it go on, one frame of each in turn."""
        aways = tuple(self.by_place.values())
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

    def following(self, topic: str) -> Away | None:
        """The first that the topic belongs to."""
        return next(
            (each for each in self.by_place.values() if matches(each.place[0], topic)), None
        )

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
            self._ask(away, frame, frame.message_id)

    def reject(self, frame: Reject) -> None:
        """See `Verbs.reject`."""
        check_reject(frame)
        away = self._whose_one(frame)
        if away is None:
            self._verbs.reject(frame)
        else:
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
            away = self._aways.named(frame.subscription)
        elif self._verbs.follows(frame.topic):
            away = None
        else:
            away = self._aways.following(frame.topic)
        if away is None:
            self._verbs.ack(frame)
        else:
            self._ask(away, frame, None)

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


def ask_here(verbs: Verbs, text: bytes, told: Told | None) -> None:
    """What waited for another node is asked here: its subscription has come."""
    frame = decode_client_frame(text)
    try:
        match frame:
            case Ack():
                verbs.ack(frame, told)
            case Nack():
                verbs.nack(frame, told)
            case Reject():
                verbs.reject(frame, told)
            case Extend():
                verbs.extend(frame, told)
    except ConduitError as error:
        if told is not None:
            told(error)
