"""How old a stamp of the wall clock is, on a machine whose wall clock jumps.

Stamps say what the wall clock said; ages are counted on a clock that does not jump. A timeline joins the
two: it is a list of steps, each with where it begins in the time that the store has lived, and what the
wall clock said then; in between both go at the same speed. What it answers is careful in one direction:
nothing is called older than it certainly is. A clock that was wrong for a while may make something look
younger, and it is kept for longer.

It goes on over restarts. On the same boot of a machine the time between two processes is known. Else only
the wall clock can say it, which may be wrong until somebody has set it: that it went forward while nobody
looked is taken for time that has passed only when it has not jumped for SETTLED_MS.

Several servers may stamp what is in one store, each by the clock of its machine. The one that keeps the
timeline hears from the others how low theirs are, and what they stamp counts as no older.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

# Reading two clocks takes time, and leap seconds are smeared or stepped.
TOLERANCE_MS = 1_000
# After a boot the time of day is set by then, if it is set from the network at all.
SETTLED_MS = 600_000
# Of a clock that jumps all the time, the oldest steps are joined.
STEPS_MAX_COUNT = 100
# What another server says of its clock covers the time before that, in which it may have said something else
# that nobody has heard; and it holds for the time after it: before that is over, it says it again.
TOLD_MS = 120_000
# What is said is heard a little later, and the clock seems to be behind by that. So far apart it goes on.
_HEARD_WITHIN_MS = 10_000
_ENDLESS_MS = 1 << 60


class Reading(msgspec.Struct, frozen=True):
    """What the clocks of a machine say at one moment."""

    wall_ms: int
    boot_id: str
    boot_ms: int
    """Since the machine was booted, sleep included. Comparable where `boot_id` is the same."""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """From `at_ms` of the store's time on, the wall clock goes on from `wall_ms`."""

    at_ms: int
    wall_ms: int

    @property
    def ahead_ms(self) -> int:
        """Wall clock minus store's time."""
        return self.wall_ms - self.at_ms


class Low(msgspec.Struct, frozen=True, array_like=True):
    """A wall clock that may have been so low, mostly of another machine: from `at_ms` of the store's time to
    TOLD_MS after `until_ms` it went on from `wall_ms`, or above that."""

    at_ms: int
    until_ms: int
    wall_ms: int

    @property
    def ahead_ms(self) -> int:
        """Wall clock minus store's time."""
        return self.wall_ms - self.at_ms


class Saved(msgspec.Struct, frozen=True):
    """A timeline as it is stored: its steps, and the last moment that it knows."""

    steps: list[Step]
    at_ms: int
    reading: Reading
    highest_ms: int = 0
    """No stamp is higher."""
    lows: list[Low] = []


class Timeline:
    """The steps up to now. Call `note` every second."""

    def __init__(self, saved: Saved | None, reading: Reading) -> None:
        self.at_ms = 0
        """The store's time."""
        self.jump_ms = 0
        """What the last `note` has returned."""
        self._before: Step | None = None
        """Set while the time is not known that passed before this process: the last step before it."""
        self._lows = [] if saved is None else list(saved.lows)
        begun_at_ms = 0
        if saved is None:
            self._steps = [Step(0, reading.wall_ms)]
        else:
            self._steps = list(saved.steps)
            begun_at_ms = self.at_ms = saved.at_ms
            passed_ms = reading.boot_ms - saved.reading.boot_ms
            if reading.boot_id == saved.reading.boot_id and passed_ms >= 0:
                begun_at_ms += passed_ms
            else:
                self._before = self._steps[-1]
        # Of the steps and of the lows, those of processes before this one.
        self._earlier_count = 0 if saved is None else len(saved.steps)
        self._earlier_lows_count = len(self._lows)
        self._steady_at_ms = begun_at_ms
        self._boot_at_ms = begun_at_ms - reading.boot_ms
        self.note(reading)

    @property
    def is_settled(self) -> bool:
        """Whether the time that passed before this process is known."""
        return self._before is None

    def note(self, reading: Reading) -> int:
        """It is this late now. Returns by how much the wall clock has jumped since, or 0."""
        noted_at_ms = self.at_ms
        self.at_ms = max(noted_at_ms, self._boot_at_ms + reading.boot_ms)
        jump_ms = reading.wall_ms - self.at_ms - self._steps[-1].ahead_ms
        if abs(jump_ms) > TOLERANCE_MS:
            self._add(Step(self.at_ms, reading.wall_ms))
            if jump_ms < 0:
                # That may have been at any time since the note before, and something be stamped since.
                wall_ms = reading.wall_ms - (self.at_ms - noted_at_ms)
                self._add_low(Low(noted_at_ms, noted_at_ms, wall_ms))
            self._steady_at_ms = self.at_ms
            self.jump_ms = jump_ms
            return jump_ms
        self.jump_ms = 0
        if self._before is not None and self.at_ms >= self._steady_at_ms + SETTLED_MS:
            self._settle(self._before)
        return 0

    def save(self, reading: Reading, highest_ms: int) -> Saved:
        """As it is after `note` of this reading."""
        return Saved(list(self._steps), self.at_ms, reading, highest_ms, list(self._lows))

    # Other servers --------------------------------------------------------------------------------

    @property
    def low_ms(self) -> int:
        """What the wall clock would say now, had it stayed as it was at its lowest in the last TOLD_MS of
        this process. It is for another server to `hear`."""
        own = self._steps[max(0, self._earlier_count) :] or self._steps[-1:]
        ends = [step.at_ms for step in own[1:]] + [_ENDLESS_MS]
        since_ms = self.at_ms - TOLD_MS
        return self.at_ms + min(
            step.ahead_ms for step, end in zip(own, ends, strict=True) if end > since_ms
        )

    def hear(self, low_ms: int) -> None:
        """Another server has said this `low_ms`, a moment ago or long ago: it counts as if it were now, so
        nothing counts as older than it is."""
        at_ms, ahead_ms = self.at_ms, low_ms - self.at_ms
        for place in range(max(0, self._earlier_lows_count), len(self._lows)):
            low = self._lows[place]
            is_near = abs(ahead_ms - low.ahead_ms) <= _HEARD_WITHIN_MS
            if is_near and low.until_ms + TOLD_MS >= at_ms:
                lowest_ms = min(ahead_ms, low.ahead_ms)
                self._lows[place] = Low(low.at_ms, at_ms, low.at_ms + lowest_ms)
                return
        self._add_low(Low(at_ms - TOLD_MS, at_ms, low_ms - TOLD_MS))

    def _add_low(self, low: Low) -> None:
        self._lows.append(low)
        if len(self._lows) > STEPS_MAX_COUNT:
            first, second = self._lows[:2]
            ahead_ms = min(first.ahead_ms, second.ahead_ms)
            until_ms = max(first.until_ms, second.until_ms)
            self._lows[:2] = [Low(first.at_ms, until_ms, first.at_ms + ahead_ms)]
            self._earlier_lows_count -= 1

    # What it answers ------------------------------------------------------------------------------

    def before_ms(self, age_ms: int) -> int:
        """Whatever has a lower stamp than this is older than `age_ms`.

        It is the lowest that the wall clock has said in that time: a stamp is never lower than what the
        wall clock said when it was given.
        """
        since_ms = self.at_ms - age_ms
        lows = []
        for step, end_ms in self._spans():
            if end_ms > since_ms:
                # Before it was noted the clock went as the first step, as far as anybody knows.
                is_first = step is self._steps[0]
                lows.append(step.ahead_ms + (since_ms if is_first else max(since_ms, step.at_ms)))
        lows.extend(
            low.ahead_ms + max(since_ms, low.at_ms)
            for low in self._lows
            if low.until_ms + TOLD_MS > since_ms
        )
        return min(lows)

    def age_ms(self, stamp_ms: int) -> int:
        """How old what has this stamp is at least."""
        newest_ms = -_ENDLESS_MS
        for step, end_ms in self._spans():
            if step.wall_ms <= stamp_ms or step is self._steps[0]:
                newest_ms = max(newest_ms, min(end_ms, stamp_ms - step.ahead_ms))
        for low in self._lows:
            if low.wall_ms <= stamp_ms:
                newest_ms = max(newest_ms, min(low.until_ms + TOLD_MS, stamp_ms - low.ahead_ms))
        return max(0, self.at_ms - newest_ms)

    def earliest_ms(self, wall_ms: int) -> int:
        """What was published since the wall clock first said `wall_ms` has this stamp, or a higher one."""
        spans = [(step.at_ms, end_ms, step.ahead_ms) for step, end_ms in self._spans()]
        spans += [(low.at_ms, low.until_ms + TOLD_MS, low.ahead_ms) for low in self._lows]
        reached = [
            min(max(at_ms, wall_ms - ahead_ms), end_ms)
            for at_ms, end_ms, ahead_ms in spans
            if end_ms + ahead_ms + TOLERANCE_MS >= wall_ms
        ]
        since_ms = min(reached, default=_ENDLESS_MS)
        stamps = [
            max(at_ms, since_ms) + ahead_ms
            for at_ms, end_ms, ahead_ms in spans
            if end_ms > since_ms
        ]
        return min(wall_ms, *stamps)

    def _spans(self) -> Iterator[tuple[Step, int]]:
        """The steps, and where in the store's time each ends."""
        ends = [step.at_ms for step in self._steps[1:]]
        return zip(self._steps, [*ends, _ENDLESS_MS], strict=True)

    # Steps ----------------------------------------------------------------------------------------

    def _add(self, step: Step) -> None:
        self._steps.append(step)
        if len(self._steps) > STEPS_MAX_COUNT:
            first, second = self._steps[:2]
            ahead_ms = min(first.ahead_ms, second.ahead_ms)
            self._steps[:2] = [Step(first.at_ms, first.at_ms + ahead_ms)]
            self._earlier_count -= 1

    def _settle(self, before: Step) -> None:
        """By as much as the wall clock is ahead of what it was, it was later when this process began."""
        self._before = None
        passed_ms = max(0, self._steps[-1].ahead_ms - before.ahead_ms)
        count = max(1, self._earlier_count)
        later = [Step(step.at_ms + passed_ms, step.wall_ms) for step in self._steps[count:]]
        self.at_ms += passed_ms
        self._boot_at_ms += passed_ms
        if later and later[0].ahead_ms == before.ahead_ms:
            later.pop(0)
        self._steps[count:] = later
        # Heard by this process: so much later, and so much longer ago below its clock.
        count = max(0, self._earlier_lows_count)
        self._lows[count:] = [
            Low(low.at_ms + passed_ms, low.until_ms + passed_ms, low.wall_ms)
            for low in self._lows[count:]
        ]
