"""Between what cannot be undone and what may have been done: all that is known of a line in unrest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from tests.model.oracle.delivery import Place
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.line import Line
from tests.model.oracle.log import Violation

OUT = ("in_flight", "retrying")
DEAD = ("dead", "dropped", "discarded", "settled")


@dataclass
class Told:
    """What the owner says of one delivery."""

    state: str
    attempts: int


@dataclass
class Bounds:
    """Of one line. `sure` holds whatever happens, and `latest` was true if all that was asked was done.
    `is_lost`: the memory of its owner is.
    """

    line: Line
    sure: Place
    latest: Place
    is_auto: bool
    is_lost: bool
    held: dict[int, tuple[Hashable, int]] = field(default_factory=dict)
    """Who had what, and as which attempt, when it began."""
    given: dict[int, list[tuple[Hashable, Seen]]] = field(default_factory=dict)
    """What was given to whom since."""
    tried: dict[int, Counter[str]] = field(default_factory=dict)
    """What was asked for a delivery since."""
    done: dict[int, int] = field(default_factory=dict)
    """What was settled since, and confirmed; and how often it had been handed out by then."""
    is_killed: bool = False
    """Whether that node was killed, and may have handed out what has come since."""
    is_free: bool = False
    """It was moved since: what comes may be from before that."""
    last_first: dict[Hashable, int] = field(default_factory=dict)
    """By client, the last number that it was given as a first attempt."""

    @property
    def first(self) -> int:
        """The lowest number that may not be settled, but for what was redriven."""
        return min(self.sure.floor, self.latest.floor) + 1

    def is_reopened(self, seq: int) -> bool:
        """Whether it may have been redriven, and that not be stored."""
        line = self.line
        return seq in line.redriven or seq in line.maybe or seq in self.sure.maybe

    def is_settled(self, seq: int) -> bool:
        """Whether it is settled for good."""
        return seq in self.done or (self.sure.has_settled(seq) and not self.is_reopened(seq))

    def is_out(self, client: Hashable, seq: int) -> bool:
        """Whether the client is the last that had it, as far as is known."""
        if seq in self.given:
            return self.given[seq][-1][0] is client
        return seq in self.held and self.held[seq][0] is client

    def places(self, client: Hashable) -> list[int]:
        """What the client has, as far as is known."""
        open_seqs = {*self.held, *self.given} - self.done.keys()
        return [seq for seq in sorted(open_seqs) if self.is_out(client, seq)]

    def failures(self, seq: int) -> tuple[int, int]:
        """How often it can have failed, at least and at most."""
        sure, latest = self.sure.open.get(seq), self.latest.open.get(seq)
        least = 0 if sure is None else sure.failures
        most = least if latest is None else max(least, latest.failures)
        if not self.is_lost and latest is not None:
            least = latest.failures if seq in self.held else least
        return least, most + self.tried.get(seq, Counter())["nack"]

    def give(self, client: Hashable, frame: Seen) -> None:
        """The client was given this. Violation if that cannot be."""
        seq = frame.seq or 0
        where = f"{self.line} {seq}"
        if not self.is_free:
            if self.is_settled(seq) and not self._is_late(seq, frame.attempt):
                raise Violation(f"{where} came again to {client}, and it is settled for good")
            least, most = self.failures(seq)
            if not self.is_reopened(seq) and not least <= frame.failures <= most:
                raise Violation(
                    f"{where}: {frame.failures} failures are told, and it has failed {least} to {most} times"
                )
            self._check_attempt(client, seq, frame.attempt)
        self.given.setdefault(seq, []).append((client, frame))

    def _is_late(self, seq: int, attempt: int) -> bool:
        """Whether it was handed out before it was settled, and its node stood still."""
        return not self.is_lost and attempt < self.done.get(seq, 0)

    def _check_attempt(self, client: Hashable, seq: int, attempt: int) -> None:
        """Each attempt is one hand-out: a node that stood still knows better than to go on where it was.
        Between clients nobody knows what was first."""
        before = self.sure.open.get(seq)
        least = 1 if before is None or self.is_reopened(seq) else before.attempt + 1
        if attempt < least:
            raise Violation(f"{self.line} {seq} came as attempt {attempt}, after {least - 1}")
        given = [frame.attempt for _, frame in self.given.get(seq, ())]
        if attempt in given and not self.is_killed:
            raise Violation(f"{self.line} {seq} was handed out twice as attempt {attempt}")
        if attempt == 1:
            last = self.last_first.get(client, 0)
            if seq <= last and not self.is_killed:
                raise Violation(
                    f"{self.line} {seq} came to {client} for the first time after {last}"
                )
            self.last_first[client] = seq

    def tries(self, seq: int, how: str) -> None:
        """Somebody asks this for it."""
        self.tried.setdefault(seq, Counter())[how] += 1

    def acked(self, seq: int) -> None:
        """It is settled now, and that is confirmed."""
        attempts = [frame.attempt for _, frame in self.given.get(seq, ())]
        held = self.held[seq][1] if seq in self.held else 0
        self.done[seq] = max(*attempts, held, 0)

    def check(self, seq: int, told: Told) -> None:
        """Violation if it cannot be so after that."""
        if self.is_free:
            return
        where, tried = f"{self.line} {seq}", self.tried.get(seq, Counter())
        was_settled = self.latest.has_settled(seq)
        if told.state == "pending" and seq < self.sure.next:
            raise Violation(f"{where} was handed out before, and now it was not")
        if told.state == "acked" and not (was_settled or tried["ack"] or self.is_auto):
            raise Violation(f"{where} counts as acked, and nobody acked it")
        if told.state in DEAD and not (was_settled or tried["reject"] or tried["nack"]):
            raise Violation(f"{where} is {told.state}, and nobody rejected or failed it")
        if told.state in OUT and self.is_settled(seq):
            raise Violation(f"{where} is open again, and it was settled for good")
