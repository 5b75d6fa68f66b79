"""Whatever two sides do with their channels, nothing is lost, out of order or stuck."""

from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.cluster.links.channels import CREDIT_STEP_BYTES, WINDOW_BYTES
from tests.cluster.links.kit import Conversation
from tests.cluster.links.sides import Side, carry

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "take", "close", "carry", "congest"]),
        st.integers(0, 1),
        st.integers(0, 5),
        st.sampled_from([1, 1_000, CREDIT_STEP_BYTES, WINDOW_BYTES + 5]),
    ),
    max_size=80,
)


class World:
    """Two sides, and what each of them has sent: by side and channel."""

    def __init__(self) -> None:
        self.sides = Side(is_dialer=True), Side(is_dialer=False)
        for side in self.sides:
            side.takes = False
        self.opened: tuple[list[Conversation], list[Conversation]] = ([], [])
        self.sent: dict[tuple[int, int], list[bytes]] = {}

    def all_of(self, which: int) -> list[Conversation]:
        return self.opened[which] + self.sides[which].taken

    def act(self, what: str, which: int, number: int, size: int) -> None:
        own = self.all_of(which)
        if what in ("open", "carry", "congest"):
            getattr(self, what)(which)
        elif own:
            getattr(self, what)(which, own[number % len(own)], size)

    def open(self, which: int) -> None:
        self.opened[which].append(self.sides[which].open())

    def carry(self, which: int) -> None:
        """One frame reaches the other side."""
        if self.sides[which].out:
            self.sides[1 - which].get(self.sides[which].out.popleft())

    def congest(self, which: int) -> None:
        side = self.sides[which]
        side.is_congested = not side.is_congested
        if not side.is_congested:
            side.channels.drained()
            side.work()

    def send(self, which: int, by: Conversation, size: int) -> None:
        of_channel = self.sent.setdefault((which, by.channel.id), [])
        body = bytes([len(of_channel) % 256]) * size
        if by.channel.send(body):
            of_channel.append(body)

    def take(self, _which: int, by: Conversation, size: int) -> None:
        by.channel.take(min(size, by.channel._held_bytes))

    def close(self, _which: int, by: Conversation, _size: int) -> None:
        by.channel.close("x", "x")

    def settle(self) -> None:
        """All frames arrive, and consumers take all."""
        for which, side in enumerate(self.sides):
            if side.is_congested:
                self.congest(which)
        for _ in range(2):
            carry(*self.sides)
            for each in self.all_of(0) + self.all_of(1):
                each.channel.take(each.channel._held_bytes)
        carry(*self.sides)

    def check(self) -> None:
        assert len(self.sides[0].channels) == len(self.sides[1].channels)
        for which in (0, 1):
            for each in self.all_of(which):
                sent = self.sent.get((1 - which, each.channel.id), [])
                assert len(each.ends) <= 1
                assert each.bodies == sent[: len(each.bodies)]
                if each.channel.is_open:
                    assert each.bodies == sent
                    assert each.channel.may_send()


@settings(max_examples=300, deadline=None)
@given(ACTIONS)
def test_nothing_is_lost_out_of_order_or_stuck(actions):
    world = World()
    for action in actions:
        world.act(*action)
    world.settle()
    world.check()
