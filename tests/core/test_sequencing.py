from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.core.sequencing import HELD_MAX_BYTES, HELD_MAX_COUNT, Run, Sequencing

LAST = 60
# Any pieces of the numbers up to LAST, in any order, some of them twice, and some never.
PIECES = st.lists(
    st.tuples(st.integers(1, LAST), st.integers(1, 12)).map(
        lambda p: (p[0], min(p[1], LAST + 1 - p[0]))
    ),
    max_size=40,
)


def run(first: int, count: int, size_bytes: int = 0) -> Run[int]:
    return Run(first, range(first, first + count), size_bytes)


class Topic:
    """Where messages go on, and what came too early."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self.held: Sequencing[int] = Sequencing()

    @property
    def last_seq(self) -> int:
        return len(self.passed)

    def offer(self, offered: Run[int]) -> None:
        if offered.first > self.last_seq + 1:
            assert self.held.hold(offered)
        elif offered.last > self.last_seq:
            self.passed += offered.after(self.last_seq).items
        self.drain()

    def drain(self) -> None:
        while (following := self.held.take(self.last_seq)) is not None:
            assert following.first == self.last_seq + 1
            assert following.items
            self.passed += following.items


@given(PIECES)
@settings(max_examples=500)
def test_whatever_the_order_all_that_follows_goes_on_once_and_in_order(pieces):
    topic = Topic()
    known: set[int] = set()
    for first, count in pieces:
        topic.offer(run(first, count))
        known |= set(range(first, first + count))
        contiguous = next(n for n in range(1, LAST + 2) if n not in known) - 1
        assert topic.passed == [*range(1, contiguous + 1)]
        is_held = {n for n in known if n > contiguous}
        assert bool(topic.held) == bool(is_held)
        assert topic.held.hole() == (min(is_held) - 1 if is_held else 0)
        assert topic.held.highest == max(is_held, default=0)


@given(PIECES, st.randoms(use_true_random=False))
def test_a_hole_that_is_filled_by_another_way_lets_go_what_is_held(pieces, random):
    topic = Topic()
    for first, count in pieces:
        topic.offer(run(first, count))
        if topic.held and random.random() < 0.3:
            # As far as somebody has read the log, perhaps beyond the hole.
            to = random.randint(topic.last_seq, topic.held.highest)
            topic.passed += range(topic.last_seq + 1, to + 1)
            topic.drain()
    while topic.held:
        topic.passed += range(topic.last_seq + 1, topic.held.hole() + 1)
        topic.drain()
    assert topic.passed == [*range(1, topic.last_seq + 1)]
    assert (topic.held.count, topic.held.size_bytes) == (0, 0)


def test_the_longer_of_two_that_begin_alike_is_held():
    held: Sequencing[int] = Sequencing()
    assert held.hold(run(5, 2, 20))
    assert held.hold(run(5, 4, 40))
    assert held.hold(run(5, 3, 30))
    assert (held.count, held.size_bytes, held.highest) == (4, 40, 8)
    taken = held.take(4)
    assert taken is not None
    assert list(taken.items) == [5, 6, 7, 8]


def test_what_is_too_much_is_not_held_and_what_was_stays():
    held: Sequencing[int] = Sequencing()
    assert held.hold(run(2, HELD_MAX_COUNT))
    assert not held.hold(run(5_000, 1))
    assert not held.hold(run(2, HELD_MAX_COUNT + 1))
    assert held.highest == HELD_MAX_COUNT + 1
    assert held.take(1) is not None
    assert held.hold(run(9_000, 1, HELD_MAX_BYTES))
    assert not held.hold(run(9_001, 1, 1))
    assert (held.count, held.size_bytes) == (1, HELD_MAX_BYTES)
