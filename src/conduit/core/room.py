"""How much may wait for a store, so that all of it is stored while somebody still waits for the answer.

A queue that is longer than the store can empty in time is worse than none: whoever waits in it gives up,
what it left behind is stored all the same, and the time for that is missing for those who still wait
(congestion collapse). So what is admitted depends on how long it would wait: for the rest of the commit that
runs, and for the commits that the queue needs (commit_times.py). There are three bounds:

- What still fits into the next commit may wait for nearly all of the time-out: shorter is not possible.
- A burst may wait for half of it.
- A queue that stands, since more comes than the store takes, helps nobody. Once that was so for a tenth of
  the time-out, waiting may only take that tenth. (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue
  2012; in this form Maurer, "Fail at Scale", ACM Queue 2015.)

A commit that takes longer than expected is taken to need as much again as it is late already. One that fits
nothing that is known begins anew what is known: the store is not what it was. But it may have been an
exception: in PostgreSQL a commit waits now and then for two syncs of others before its own. So until the next
one has shown which it was, the mean of what was known and what is known now is what counts.

A commit that nobody has to wait behind is only noted: what it teaches is found out when somebody asks, and
most are forgotten by then. So where commits are quick and small, this costs next to nothing.
"""

from __future__ import annotations

import math
from collections import deque
from copy import copy

from conduit.core.commit_times import SLOWEST_BYTES_PER_S, CommitTimes

# Messages in one commit. More adds latency for those that wait, and no throughput (bench).
COMMIT_MAX_COUNT = 2_000
# Payload bytes in one commit, unless a single unit has more.
COMMIT_MAX_BYTES = 8 << 20
# What may wait for a commit, however fast the store is.
QUEUE_MAX_COUNT = 20_000
QUEUE_MAX_BYTES = 64 << 20
# Shares of the time-out.
NEXT_SHARE, BURST_SHARE, STANDING_SHARE = 0.9, 0.5, 0.1
# Beyond these slow commits are followed by ones of twice their size at most: what was learned of them is not
# trusted for larger ones.
TRUSTED_BYTES = 1 << 20
# What is left of that trust with each smaller commit.
TRUST_KEPT = 0.9
# Commits that are noted until somebody asks. What came before these counts for less than a thousandth.
NOTED_MAX_COUNT = 32


class Room:
    """The queue of one store with group commit. Times are seconds of any clock that does not go back.

    What waits is given as `count` messages with `size_bytes` of payload. `max_count` and `max_bytes` are
    admitted without a question. `begin` and `end` lower them to what is sure, and they are found anew by
    `look`, or when `admits` is asked.
    """

    __slots__ = (
        "_before",
        "_begun_at",
        "_commit_bytes",
        "_full_since",
        "_has_refused",
        "_is_looked_at",
        "_is_standing",
        "_noted",
        "_size_bytes",
        "_timeout_s",
        "_times",
        "_trusted_bytes",
        "least_commit_bytes",
        "least_patience_s",
        "max_bytes",
        "max_count",
    )

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._times = CommitTimes()
        # Of the commit that runs, if one does.
        self._begun_at: float | None = None
        self._size_bytes = 0
        # Bytes and seconds of commits that are over, and from which nothing was learned yet.
        self._noted: deque[tuple[int, float]] = deque(maxlen=NOTED_MAX_COUNT)
        self._trusted_bytes = TRUSTED_BYTES
        # What was known before a commit that did not fit, and that one: until the next one is over.
        self._before: tuple[CommitTimes, tuple[int, float]] | None = None
        # Whether somebody was refused since the last commit began, and since when there has been more than
        # one commit takes.
        self._has_refused = False
        self._full_since: float | None = None
        self._is_standing = False
        self._commit_bytes = COMMIT_MAX_BYTES
        # Half of a tenth of the time-out, on the slowest disk.
        least_bytes = int(timeout_s * STANDING_SHARE / 2 * SLOWEST_BYTES_PER_S)
        self.least_commit_bytes = min(least_bytes, TRUSTED_BYTES)
        """`commit_bytes` is never less."""
        self.least_patience_s = timeout_s * (1 - NEXT_SHARE)
        """Nor is `patience_s` less than this."""
        self.max_count = QUEUE_MAX_COUNT
        self.max_bytes = QUEUE_MAX_BYTES
        # Whether these are as large as they can be.
        self._is_looked_at = True

    # What happens ---------------------------------------------------------------------------------

    def begin(self, now: float, size_bytes: int, *, has_rest: bool) -> None:
        """A commit begins; `has_rest`: something has to wait for the one after it."""
        self._begun_at = now
        self._size_bytes = size_bytes
        if has_rest or self._has_refused:
            if self._full_since is None:
                self._full_since = now
            self._has_refused = False
            self._is_standing = now - self._full_since >= self._timeout_s * STANDING_SHARE
        elif self._full_since is not None:
            self._full_since = None
            self._is_standing = False
        # How long this commit takes has to be looked at.
        self.max_count = self.max_bytes = 0
        self._is_looked_at = False

    def end(self, now: float, *, is_stored: bool) -> None:
        """It is over. One that failed says nothing of how long others take."""
        assert self._begun_at is not None
        if is_stored:
            self._noted.append((self._size_bytes, now - self._begun_at))
        self._begun_at = None
        # However slow the store is, the first message is tried.
        self.max_count, self.max_bytes = 1, QUEUE_MAX_BYTES
        self._is_looked_at = False

    def _learn_noted(self) -> None:
        if not self._noted:
            return
        took_s = self._noted[-1][1]
        for noted_bytes, noted_s in self._noted:
            # Longer than anybody waits is too long, however long that was: what is well again after a time
            # when it hung is found to be so within a few commits.
            self._learn(noted_bytes, min(noted_s, self._timeout_s))
        self._noted.clear()
        self._commit_bytes = self._bytes_in_time(took_s)

    def _learn(self, size_bytes: int, took_s: float) -> None:
        """A commit took so long. If that fits nothing that is known, the store is not what it was; unless the
        next one fits what was known before."""
        if self._before is not None:
            known, odd = self._before
            self._before = None
            if _off_s(known, size_bytes, took_s) < _off_s(self._times, size_bytes, took_s):
                self._times = known
                self._times.observe(*odd)
        unlike_s = self._timeout_s * STANDING_SHARE
        is_odd = _off_s(self._times, size_bytes, took_s) > unlike_s
        # Few are copied: what is expected only comes nearer by what is observed.
        before = copy(self._times) if is_odd else self._times
        self._times.observe(size_bytes, took_s)
        if is_odd and _off_s(self._times, size_bytes, took_s) > unlike_s:
            self._before = before, (size_bytes, took_s)
            self._times = CommitTimes()
            self._times.observe(size_bytes, took_s)
            self._trusted_bytes = TRUSTED_BYTES
        kept = max(TRUSTED_BYTES, int(self._trusted_bytes * TRUST_KEPT))
        self._trusted_bytes = max(kept, 2 * size_bytes)

    def _bytes_in_time(self, took_s: float) -> int:
        """What a commit takes in a tenth of the time-out, or in twice the time that the smallest needs."""
        fixed_s, per_byte_s = self._times.fixed_s, self._times.per_byte_s
        target_s = self._timeout_s * STANDING_SHARE
        most = float(COMMIT_MAX_BYTES)
        if per_byte_s:
            most = min(most, max(target_s - fixed_s, fixed_s) / per_byte_s)
        if took_s > target_s:
            most = min(most, self._trusted_bytes)
        return int(most)

    # How much may wait ----------------------------------------------------------------------------

    @property
    def commit_bytes(self) -> int:
        """Payload bytes of the next commit, unless a single unit has more."""
        self._learn_noted()
        return self._commit_bytes

    def look(self, now: float) -> None:
        """Find `max_count` and `max_bytes`, as things are now."""
        self._is_looked_at = True
        full_s = self._expected_s(self.commit_bytes)
        left_s = self._limit_s - self._rest_s(now)
        # Less than nothing is no room, and a store of which nothing is known has all.
        commits = max(0, int(left_s / full_s)) if full_s else QUEUE_MAX_COUNT
        self.max_count = min(QUEUE_MAX_COUNT, commits * COMMIT_MAX_COUNT)
        self.max_bytes = min(QUEUE_MAX_BYTES, commits * self.commit_bytes)

    def admits(self, now: float, count: int, size_bytes: int) -> bool:
        """Whether so much may wait, with what is to be added. A refusal is remembered."""
        if not self._is_looked_at:
            self.look(now)
            if count <= self.max_count and size_bytes <= self.max_bytes:
                return True
        if count <= QUEUE_MAX_COUNT and size_bytes <= QUEUE_MAX_BYTES:
            limit_s = self._limit_s
            if self._commits(count, size_bytes) == 1:
                if self._begun_at is None:
                    # However slow the store is: else it would never be tried again.
                    return True
                limit_s = self._timeout_s * NEXT_SHARE
            if self.wait_s(now, count, size_bytes) <= limit_s:
                return True
        self._has_refused = True
        return False

    def patience_s(self, size_bytes: int) -> float:
        """How long something may have waited when its commit of so many bytes begins: if longer, its answer
        would come too late. Where every answer does, for the whole time-out."""
        self._learn_noted()
        takes_s = self._expected_s(size_bytes)
        is_hopeless = takes_s > self._timeout_s * NEXT_SHARE
        return self._timeout_s if is_hopeless else self._timeout_s - takes_s

    def wait_s(self, now: float, count: int, size_bytes: int) -> float:
        """How long it takes until so much is stored."""
        self._learn_noted()
        commits = self._commits(count, size_bytes)
        return self._rest_s(now) + self._expected_s(size_bytes, commits)

    @property
    def _limit_s(self) -> float:
        share = STANDING_SHARE if self._is_standing else BURST_SHARE
        return self._timeout_s * share

    def _rest_s(self, now: float) -> float:
        """How much longer the commit takes that runs."""
        if self._begun_at is None:
            return 0.0
        return abs(self._begun_at + self._expected_s(self._size_bytes) - now)

    def _expected_s(self, size_bytes: int, commits_count: int = 1) -> float:
        """How long so many bytes take in so many commits."""
        takes_s = self._times.expected_s(size_bytes, commits_count)
        if self._before is None:
            return takes_s
        return (takes_s + self._before[0].expected_s(size_bytes, commits_count)) / 2

    def _commits(self, count: int, size_bytes: int) -> int:
        by_bytes = math.ceil(size_bytes / max(self.commit_bytes, 1))
        # Not more than messages: a large one is a commit by itself.
        return max(1, math.ceil(count / COMMIT_MAX_COUNT), min(by_bytes, count))


def _off_s(times: CommitTimes, size_bytes: int, took_s: float) -> float:
    """How far that is from what was expected."""
    return abs(times.expected_s(size_bytes) - took_s)
