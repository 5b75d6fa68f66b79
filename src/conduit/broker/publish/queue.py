"""What waits for a commit, in the order in which it came."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import Protocol

from conduit.core.message import NewMessage
from conduit.errors import ConduitError
from conduit.storage.base import Appended


class Unit(Protocol):
    """Who waits for messages that are stored together or not at all."""

    def stored(self, seqs: Sequence[Appended], start: int) -> None:
        """They are in the log: the numbers of their whole commit, and where the unit's begin. The last
        that it hears."""

    def failed(self, error: ConduitError) -> None:
        """None of them was stored, which is the last that it hears; or, with OutcomeUnknown, that cannot
        be said yet: then it is told again, any number of times."""


Waiting = tuple[int, Unit, float]
"""How many messages a unit has, the unit, and when it came, on the loop's clock."""


class Queue:
    """Units in the order in which they came, and their messages in one list."""

    __slots__ = ("messages", "oldest", "size_bytes", "units")

    def __init__(self) -> None:
        self.messages: list[NewMessage] = []
        self.units: list[Waiting] = []
        self.size_bytes = 0
        """Of the payloads."""
        self.oldest = math.inf
        """None of the units came before."""

    def add(self, later: Queue) -> Queue:
        """Put what is in another one behind it; returns this one."""
        self.units += later.units
        self.messages += later.messages
        self.size_bytes += later.size_bytes
        self.oldest = min(self.oldest, later.oldest)
        return self

    def without_newest(self, count: int, size_bytes: int) -> tuple[Queue, Queue]:
        """What is left without the last units that have so many messages and payload bytes, and those. Who
        only wants to know when it is reached stays."""
        taken_count = taken_bytes = at = 0
        end = len(self.messages)
        for at in range(len(self.units) - 1, -1, -1):
            unit_count = self.units[at][0]
            start = end - unit_count
            taken_bytes += _size(self.messages[start:end])
            taken_count, end = taken_count + unit_count, start
            if taken_count >= count and taken_bytes >= size_bytes:
                break
        left, newest = self.split(at)
        left.units += [each for each in newest.units if not each[0]]
        newest.units = [each for each in newest.units if each[0]]
        return left, newest

    def take(self, max_count: int, max_bytes: int) -> tuple[Queue, Queue]:
        """What comes first, up to so many messages and payload bytes, but one unit at least; and the rest."""
        if len(self.messages) <= max_count and self.size_bytes <= max_bytes:
            return self, Queue()
        taken = count = size_bytes = 0
        for unit_count, _, _ in self.units:
            end = count + unit_count
            size_bytes += _size(self.messages[count:end])
            # A single unit may be larger than a commit: it cannot be divided.
            if taken and (end > max_count or size_bytes > max_bytes):
                break
            count = end
            taken += 1
        return self.split(taken)

    def split(self, unit_count: int) -> tuple[Queue, Queue]:
        """The first `unit_count` units, and the rest."""
        head, tail = Queue(), Queue()
        head.units, tail.units = self.units[:unit_count], self.units[unit_count:]
        count = sum([each[0] for each in head.units])
        head.messages, tail.messages = self.messages[:count], self.messages[count:]
        head.size_bytes = _size(head.messages)
        tail.size_bytes = self.size_bytes - head.size_bytes
        head.oldest = tail.oldest = self.oldest
        return head, tail

    def divide(self, until: float) -> tuple[Queue, Queue]:
        """The units that came until then, and the others."""
        return self._divide([since <= until for _, _, since in self.units])

    def apart(self, places: Collection[int]) -> tuple[Queue, Queue]:
        """The units with a message at one of these places, and the others."""
        ends = accumulate(count for count, _, _ in self.units)
        units = {bisect_right([*ends], place) for place in places}
        return self._divide([at in units for at in range(len(self.units))])

    def _divide(self, is_taken: Sequence[bool]) -> tuple[Queue, Queue]:
        taken, others = Queue(), Queue()
        start = 0
        for waiting, is_of_them in zip(self.units, is_taken, strict=True):
            count, _, since = waiting
            part = taken if is_of_them else others
            part.units.append(waiting)
            part.messages += self.messages[start : start + count]
            part.oldest = min(part.oldest, since)
            start += count
        taken.size_bytes = _size(taken.messages)
        others.size_bytes = self.size_bytes - taken.size_bytes
        return taken, others


def _size(messages: Iterable[NewMessage]) -> int:
    return sum([len(message.payload) for message in messages])
