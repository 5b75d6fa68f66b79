"""A cluster that keeps every promise, in a few lines and with a clock of its own: histories for tests of the
checker."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tests.chaos.history import Attempt, Claimed, ClusterHistory, Leased, Left, Struck, Wrote
from tests.crash.history import Connected, Delivered, Published, Settled, Stored, Stream

NODES = ("a", "b", "c")
SHARED, FOLLOWER = "shared", "follower"
STREAMS = [
    Stream(SHARED, ("t",), shared=True),
    Stream(FOLLOWER, ("t",), durable=False),
]
LEASE_S = 3.0
STEP_S = 0.5
RENEW_S = 1.0
LATENCY_S = 0.01


class Made:
    """One topic, one durable subscription with a subscriber at each node, one ephemeral subscriber."""

    def __init__(self) -> None:
        self.history = ClusterHistory(list(STREAMS))
        self.now = 1000.0
        self.stopped: set[str] = set()
        self.incarnation = {name: f"{name}-1" for name in NODES}
        self.until: dict[str, float] = {}
        self.owner, self.fence = "", 0
        self.waiting: list[int] = []
        self.last_seq = 0
        self.attempts: dict[int, int] = {}
        self.open: dict[int, tuple[int, int]] = {}
        self._numbers = itertools.count(1)
        self._renew()
        self.node_of: dict[int, str] = {}
        for name in NODES:
            self._connect(SHARED, name)
        self.follower = self._connect(FOLLOWER, "c")
        self.followed_seq = 0
        self.claim("a")
        self.pass_by(3.0)

    # What happens ---------------------------------------------------------------------------------

    def pass_by(self, seconds: float) -> None:
        """Nothing but renewals, and what the follower has missed."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + STEP_S, end)
            self._renew()
            self._follow()

    def publish(self) -> int:
        """One message; its number."""
        self.last_seq += 1
        self._go(LATENCY_S)
        value, message_id = f"v-{self.last_seq}", f"id-{self.last_seq}"
        self.history.stored.append(Stored("t", self.last_seq, value, message_id))
        self.history.published.append(
            Published(value, "t", "ok", self.last_seq, message_id, self.now - LATENCY_S, self.now)
        )
        self.history.attempts.append(Attempt("a", self.now - LATENCY_S, self.now, "ok"))
        self.waiting.append(self.last_seq)
        self._follow()
        return self.last_seq

    def hand(self, which: int) -> int | None:
        """The owner hands the next message out, to one of the subscribers that it reaches; its number."""
        there = [number for number in sorted(self.shared()) if self._node_is_well(number)]
        if not self._may_hand() or not self.waiting or not there:
            return None
        seq, number = self.waiting.pop(0), there[which % len(there)]
        self._go(LATENCY_S)
        self.attempts[seq] = self.attempts.get(seq, 0) + 1
        self.open[seq] = (number, self.attempts[seq])
        self.history.events.append(self._delivered(SHARED, number, seq, self.attempts[seq]))
        return seq

    def settle(self, which: int) -> None:
        """A subscriber acks one that it has, and that is confirmed, and stored by the owner."""
        mine = [seq for seq, (number, _) in self.open.items() if self._node_is_well(number)]
        if not mine or not self._may_hand():
            return
        seq = sorted(mine)[which % len(mine)]
        number, attempt = self.open.pop(seq)
        for is_confirmed in (False, True):
            self._go(LATENCY_S)
            settled = Settled(SHARED, number, "t", seq, attempt, "ack", is_confirmed, self.now)
            self.history.events.append(settled)
        self.history.wrote.append(Wrote(SHARED, self.owner, self.now - LATENCY_S / 2))

    def stop(self) -> None:
        """The owner is stopped for 6 s; another one has the subscription when the lease is over."""
        began, old = self.now, self.owner
        self.stopped.add(old)
        self.pass_by(self.until[old] - self.now + 0.05)
        self._change_owner()
        self._go(1.5)
        while (seq := self.hand(self.last_seq)) is not None and seq % 3:
            self.settle(0)
        self.pass_by(max(0.0, began + 6.0 - self.now))
        self.stopped.discard(old)
        self._renew()
        self.history.struck.append(Struck("stop", (old,), began, self.now, True, self.now))

    def kill(self, which: int) -> None:
        """A node is killed; its subscribers go to others, and what it owned, if it did, as soon as it may."""
        began, name = self.now, NODES[which % len(NODES)]
        self.stopped.add(name)
        for number in [number for number, node in self.node_of.items() if node == name]:
            self._leave(number)
        if name == self.owner:
            self.pass_by(self.until[name] - self.now + 0.05)
            self._change_owner()
            self._go(1.5)
        self.stopped.discard(name)
        self.incarnation[name] = f"{name}-{next(self._numbers)}"
        self.until.pop(name)
        self._renew()
        self.history.struck.append(Struck("kill", (name,), began, self.now))

    def give_up(self) -> None:
        """The owner releases the subscription, and another one has it at once."""
        self._claimed("", "")
        self._go(STEP_S)
        self._change_owner()
        self._go(1.5)

    def end(self) -> ClusterHistory:
        """Hand all out and settle it."""
        for _ in range(200):
            if self.hand(self.last_seq) is None and not self.open:
                break
            self.settle(0)
        assert not self.waiting
        assert not self.open
        self.pass_by(STEP_S)
        return self.history

    def claim(self, name: str) -> None:
        """It has the subscription from now on."""
        self.owner, self.fence = name, self.fence + 1
        self._claimed(name, self.incarnation[name])

    # How ------------------------------------------------------------------------------------------

    def shared(self) -> Sequence[int]:
        """The connections of the durable subscription."""
        return [number for number in self.node_of if number != self.follower]

    def _claimed(self, name: str, incarnation: str) -> None:
        self._go(LATENCY_S)
        self.history.claimed.append(Claimed(SHARED, name, incarnation, self.fence, self.now))

    def _change_owner(self) -> None:
        others = [name for name in NODES if name != self.owner and name not in self.stopped]
        self.claim(others[0])
        # What was out comes again, and what the last owner had handed out it may not know.
        self.waiting = sorted({*self.waiting, *self.open})
        self.open.clear()
        self.attempts.clear()

    def _connect(self, stream: str, name: str) -> int:
        number = next(self._numbers)
        self.node_of[number] = name
        self.history.events.append(Connected(stream, number, name, self.now))
        return number

    def _leave(self, number: int) -> None:
        stream = FOLLOWER if number == self.follower else SHARED
        self.history.left.append(Left(stream, number, self.now))
        name = self.node_of.pop(number)
        other = self._connect(stream, next(each for each in NODES if each != name))
        if number == self.follower:
            self.follower = other
        for seq in [seq for seq, (holder, _) in self.open.items() if holder == number]:
            del self.open[seq]
            self.waiting = sorted({*self.waiting, seq})

    def _go(self, seconds: float) -> None:
        self.now += seconds
        self._renew()

    def _renew(self) -> None:
        for name in NODES:
            is_due = self.until.get(name, 0.0) < self.now + LEASE_S - RENEW_S
            if name not in self.stopped and is_due:
                self.until[name] = self.now + LEASE_S
                incarnation = self.incarnation[name]
                self.history.leased.append(Leased(name, incarnation, self.now, self.until[name]))

    def _may_hand(self) -> bool:
        return self.owner not in self.stopped and self.until[self.owner] > self.now

    def _node_is_well(self, number: int) -> bool:
        return self.node_of[number] not in self.stopped

    def _follow(self) -> None:
        while self.followed_seq < self.last_seq and self._node_is_well(self.follower):
            self.followed_seq += 1
            self._go(LATENCY_S)
            event = self._delivered(FOLLOWER, self.follower, self.followed_seq, 1)
            self.history.events.append(event)

    def _delivered(self, stream: str, number: int, seq: int, attempt: int) -> Delivered:
        return Delivered(stream, number, "t", seq, attempt, f"v-{seq}", f"id-{seq}", self.now)
