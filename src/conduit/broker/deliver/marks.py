"""Whose progress is to be stored, and what died or was redriven there: that belongs in one commit with it."""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from conduit.broker.catalog import Topic
from conduit.broker.deliver.group import Group
from conduit.core.delivery import Delivery
from conduit.core.message import Death, Redriven


class Recorded(Protocol):
    """One subscription in one topic, whose progress and deaths are stored."""

    @property
    def group(self) -> Group:
        """The subscription."""

    @property
    def topic(self) -> Topic:
        """The topic."""

    @property
    def delivery(self) -> Delivery:
        """Its progress there."""


class Marks:
    """What is to be stored in one commit, or in several."""

    __slots__ = ("_redriven", "changed", "deaths_count", "later", "orphans")

    def __init__(self) -> None:
        # With what died there, if anything did.
        self.changed: dict[Recorded, list[Death] | None] = {}
        # The marks of dead letters that are open again, by number; for some of the above.
        self._redriven: dict[Recorded, dict[int, Redriven]] = {}
        # For one of the above: what died there and is stored in a later commit.
        self.later: dict[Recorded, list[Death]] = {}
        # Deaths in what was closed since.
        self.orphans: list[Death] = []
        self.deaths_count = 0

    def __bool__(self) -> bool:
        return bool(self.changed or self.orphans)

    def open_again(self, who: Recorded, seq: int, mark: Redriven) -> None:
        """A dead delivery there, which changed, is open again."""
        self._redriven.setdefault(who, {})[seq] = mark

    def forget_redriven(self, who: Recorded, deaths: list[Death]) -> None:
        """These died again."""
        marks = self._redriven.get(who, {})
        for death in deaths:
            marks.pop(death.seq, None)

    def bury(self, who: Recorded, deaths: list[Death]) -> None:
        """These died there."""
        self.changed[who] = (self.changed.get(who) or []) + deaths
        self.deaths_count += len(deaths)

    def forget(self, who: Recorded) -> None:
        """Store where it stood no more, nor what was open. Nor what died there, if it was moved away: its
        progress is not stored, so it is delivered again, and no fence would hold back the letter."""
        self._redriven.pop(who, None)
        deaths = self.changed.pop(who, None) or []
        if who.group.was_moved:
            self.deaths_count -= len(deaths)
        else:
            self.orphans += deaths

    def death_of(self, who: Recorded, seq: int) -> Death | None:
        """How it died there, if that is not stored yet."""
        deaths = self.changed.get(who) or ()
        return next((death for death in deaths if death.seq == seq), None)

    def is_redriven(self, who: Recorded, seq: int) -> bool | None:
        """Whether the letter of a delivery there is to be marked; False if it is to be stored, and None if
        there is neither."""
        if seq in self._redriven.get(who, ()):
            return True
        return None if self.death_of(who, seq) is None else False

    def take(self, count: int, deaths_max_count: int) -> tuple[Marks, int]:
        """A part of it: orphans, and up to the first `count` with what died there; of all deaths so many.
        Where that ends among the deaths of one, it stays with the others, which are `later` in the part. What
        is over is forgotten: where a subscription ends, all its topics would be looked at in one turn. Also
        returns how many were taken whole, or forgotten."""
        part, first = Marks(), tuple(islice(self.changed, count))
        # Before the orphans are taken: what died there may have died with who is there since.
        over = [who for who in first if who.group.is_over]
        for who in over:
            self.forget(who)
        whole_count = len(over)
        part.orphans = self.orphans[:deaths_max_count]
        self.orphans = self.orphans[deaths_max_count:]
        deaths_max_count -= len(part.orphans)
        for who in first:
            if who.group.is_over:
                continue
            deaths = self.changed[who] or []
            if deaths and not deaths_max_count:
                break
            if who in self._redriven:
                part._redriven[who] = self._redriven.pop(who)
            if len(deaths) > deaths_max_count:
                part.changed[who] = deaths[:deaths_max_count]
                self.changed[who] = part.later[who] = deaths[deaths_max_count:]
                deaths_max_count = 0
                break
            part.changed[who] = self.changed.pop(who)
            deaths_max_count -= len(deaths)
            whole_count += 1
        part.deaths_count = len(part.deaths())
        self.deaths_count -= part.deaths_count
        return part, whole_count

    def put_back(self, part: Marks) -> None:
        """It was not stored, and comes before what is here."""
        later, self.changed = self.changed, part.changed
        for who, deaths in later.items():
            both = [*(self.changed.get(who) or ()), *(deaths or ())]
            self.changed[who] = both or None
        for who, marks in part._redriven.items():
            self._redriven[who] = marks | self._redriven.get(who, {})
        self.orphans = part.orphans + self.orphans
        self.deaths_count += part.deaths_count

    def deaths(self) -> list[Death]:
        """All of them. First those of who is gone: of a message that died with one ephemeral subscriber and
        then with the next, the letter tells of the last."""
        return [
            death for deaths in (self.orphans, *self.changed.values()) for death in deaths or ()
        ]

    def redriven(self) -> list[Redriven]:
        """All marks."""
        return [mark for marks in self._redriven.values() for mark in marks.values()]
