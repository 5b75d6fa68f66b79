"""A model of the delivery machine that is too simple to be wrong.

It keeps one record per open number in a dict and looks at all of them for everything.
"""

from dataclasses import dataclass

from conduit.core.policy import REASON_LOST, REASON_TIMEOUT
from conduit.core.retries import NOBODY


@dataclass
class Open:
    attempt: int
    at: float
    holder: int
    reason: str = ""
    failures: int = 0
    losses: int = 0
    last_holder: int = NOBODY

    @property
    def is_out(self):
        return self.holder != NOBODY

    @property
    def is_suspect(self):
        return self.losses >= 2

    @property
    def rank(self):
        """Those that were lost more often wait behind the others."""
        return min(self.losses, 2)

    @property
    def nth(self):
        """Which wait the running or last attempt has: each failure doubles it."""
        return self.failures + 1


class NaiveDelivery:
    """What is open, by number. Everything else up to `cursor` is settled."""

    def __init__(self, policy, floor):
        self.policy, self.floor, self.cursor = policy, floor, floor
        self.open = {}
        self.dead = []

    def wait_s(self, attempt):
        return min(self.policy.ack_wait_s * 2 ** (attempt - 1), self.policy.max_ack_wait_s)

    def nack_wait_s(self, seq):
        """As `wait_s`, from one second on at most."""
        wait_s = min(self.policy.ack_wait_s, 1.0) * 2 ** (self.open[seq].nth - 1)
        return min(wait_s, self.policy.max_ack_wait_s)

    def in_flight(self, holder):
        return sum(one.holder == holder for one in self.open.values())

    def out(self, seq):
        return seq in self.open and self.open[seq].is_out

    def through(self, seq, holder):
        """What a cumulative ack of the holder's settles: what it has, or had last."""
        return [
            number
            for number, one in self.open.items()
            if number <= seq
            and (one.holder == holder or (not one.is_out and one.last_holder == holder))
        ]

    def settle(self, seqs):
        for seq in list(seqs):
            del self.open[seq]
        self.raise_floor()

    def raise_floor(self):
        above = [seq for seq in self.open if seq > self.floor]
        self.floor = min(above) - 1 if above else self.cursor

    def hand(self, count, holder, now):
        for _ in range(count):
            self.cursor += 1
            self.open[self.cursor] = Open(1, now + self.wait_s(1), holder)

    def fail(self, seq, at, reason):
        one = self.open[seq]
        one.failures += 1
        if one.failures >= self.policy.max_attempts:
            self.die(seq, reason)
        else:
            one.reason = reason
            self.put_back(one, at)

    @staticmethod
    def put_back(one, at):
        one.last_holder, one.holder, one.at = one.holder, NOBODY, at

    def die(self, seq, reason):
        self.dead.append((seq, self.open[seq].attempt, reason))
        self.settle([seq])

    def expire(self, now, jitter):
        for seq, one in sorted(self.open.items()):
            if one.is_out and one.at <= now:
                spread_s = self.wait_s(one.nth) * jitter / 10
                self.fail(seq, now + spread_s, REASON_TIMEOUT)

    def next_due(self, now):
        """Not lost before lost once before suspects, of which one may be out; then by time."""
        suspect_is_out = any(one.is_out and one.is_suspect for one in self.open.values())
        due = [
            (one.rank, one.at, seq)
            for seq, one in self.open.items()
            if not one.is_out and one.at <= now and not (one.is_suspect and suspect_is_out)
        ]
        return min(due)[2] if due else None

    def redeliver(self, holder, now, limit):
        handed = []
        while len(handed) < limit and (seq := self.next_due(now)) is not None:
            self.hand_again(seq, holder, now)
            handed.append((seq, self.open[seq].attempt))
        return handed

    def hand_again(self, seq, holder, now):
        one = self.open[seq]
        one.attempt += 1
        one.holder, one.at = holder, now + self.wait_s(one.nth)

    def release(self, holder, now, lost):
        """It is gone for good: nothing is remembered as its own."""
        for seq, one in list(self.open.items()):
            if one.last_holder == holder and not one.is_out:
                one.last_holder = NOBODY
            if one.holder == holder:
                one.losses += lost
                max_lost = self.policy.max_lost
                if lost and max_lost is not None and one.losses >= max_lost:
                    self.die(seq, REASON_LOST)
                else:
                    wait_s = min(2 ** (one.losses - 2), 60) if lost and one.losses > 1 else 0
                    self.put_back(one, now + wait_s)
                    one.last_holder = NOBODY

    def restart(self, now):
        for one in self.open.values():
            one.at = now if one.is_out else max(one.at, now)
            one.holder = one.last_holder = NOBODY
