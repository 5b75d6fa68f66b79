"""`Holds` between a server and an application that do what they like."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.client.delivery import Delivery, Verb
from conduit.client.holds import HOLD_MS, Held, Holds
from conduit.protocol.frames import Ack, Extend, Nack, Reject
from tests.client.test_holds import came, take

_STEPS = ["deliver", "again", "take", "ack", "nack", "reject", "drop", "tick", "lose"]


@settings(max_examples=300)
@given(
    steps=st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 9)), min_size=10, max_size=50),
    is_durable=st.booleans(),
)
def test_a_message_is_in_one_place_and_none_is_mislaid(
    steps: list[tuple[str, int]], is_durable: bool
) -> None:
    """A server that hands out, and hands out again, what it likes; an application that does the same
    with what it gets. Whatever the server has out is in the inbox, or with the application, once."""
    world = World(is_durable)
    for step, choice in steps:
        getattr(world, step)(choice)
        world.check()


class World:
    """A server's view and an application's, with `Holds` between them."""

    def __init__(self, is_durable: bool) -> None:
        self.is_durable = is_durable
        self.holds = Holds(1000, is_durable=is_durable)
        self.now = 0.0
        self.inbox: list[Held] = []
        self.app: list[Delivery] = []
        self.out: dict[int, int] = {}
        """What the server waits for: seq → attempt."""
        self.waiting: dict[int, int] = {}
        """What it will hand out again: seq → attempt."""
        self.next_seq = 1

    def _give(self, seq: int, attempt: int) -> None:
        self.out[seq] = attempt
        self._put(came(self.holds, seq, attempt, self.now))

    def _put(self, held: Held | None) -> None:
        if held is not None:
            self.inbox.append(held)

    def _heard(self, verb: Verb | None) -> None:
        """The server acts on a frame; one that names an earlier attempt changes nothing."""
        if verb is None or isinstance(verb, Extend):
            return
        assert verb.message_id is not None
        seq = int(verb.message_id.removeprefix("t-"))
        if self.out.get(seq) == verb.attempt:
            del self.out[seq]
            if isinstance(verb, Nack):
                self.waiting[seq] = verb.attempt + 1

    def deliver(self, _choice: int) -> None:
        self._give(self.next_seq, 1)
        self.next_seq += 1

    def again(self, choice: int) -> None:
        late = {seq: attempt + 1 for seq, attempt in self.out.items()} | self.waiting
        if late:
            seq = sorted(late)[choice % len(late)]
            self.waiting.pop(seq, None)
            self._give(seq, late[seq])

    def take(self, _choice: int) -> None:
        if self.inbox:
            self.app.append(take(self.holds, self.inbox.pop(0), self.now))

    def _say(self, choice: int, kind: type[Ack] | type[Nack] | type[Reject]) -> None:
        if self.app:
            delivery = self.app.pop(choice % len(self.app))
            said, again = self.holds.said(delivery, kind(delivery.message.message_id), self.now)
            self._put(again)
            self._heard(said)

    def ack(self, choice: int) -> None:
        self._say(choice, Ack)

    def nack(self, choice: int) -> None:
        self._say(choice, Nack)

    def reject(self, choice: int) -> None:
        self._say(choice, Reject)

    def drop(self, choice: int) -> None:
        """Unsettled: the server's time runs out, and the message comes again."""
        if self.app:
            delivery = self.app.pop(choice % len(self.app))
            seq = delivery.message.seq
            if self.out.get(seq) == delivery.attempt:
                self.waiting[seq] = self.out.pop(seq) + 1

    def tick(self, choice: int) -> None:
        self.now += 1.0 + choice
        frames, waiting = self.holds.due(self.now)
        for held in waiting:
            self._put(held)
        for frame in frames:
            self._heard(frame)

    def lose(self, _choice: int) -> None:
        """The connection; what was out comes again at once."""
        self.inbox.clear()
        self.holds.lost()
        later = {seq: attempt + 1 if self.is_durable else 1 for seq, attempt in self.out.items()}
        self.out.clear()
        for seq, attempt in later.items():
            self._give(seq, attempt)

    def check(self) -> None:
        # At rest: what crossed its settling is answered, and what was dropped is noticed.
        self.tick(HOLD_MS // 2000)
        places = [held.message.seq for held in self.inbox]
        places += [delivery.message.seq for delivery in self.app]
        assert len(places) == len(set(places))
        assert self.out.keys() <= set(places)
