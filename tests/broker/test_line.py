"""Whose turn it is in a subscription, and what it keeps of the log."""

from conduit.broker.deliver.line import Line
from conduit.broker.deliver.reads import BUSY_MAX_COUNT, KEPT_MAX_BYTES, Reads


class Keeper:
    def __init__(self):
        self.has_dropped = False

    def drop(self):
        self.has_dropped = True


def taken(line, *, may_read=True, has_room=True):
    found = []
    while (who := line.take(may_read=may_read, has_room=has_room)) is not None:
        found.append(who)
    return found


def test_turns_are_given_in_the_order_of_coming_whatever_is_waited_for():
    line = Line()
    line.wait("a")
    line.wait_to_read("b")
    line.wait_for_room("c")
    line.wait("d")
    line.wait_to_read("e")
    assert taken(line) == ["a", "b", "c", "d", "e"]
    assert not line.waiting


def test_who_waits_for_room_holds_up_nobody_while_there_is_none():
    line = Line()
    line.wait_for_room("a")
    line.wait_to_read("b")
    line.wait("c")
    assert taken(line, has_room=False) == ["b", "c"]
    assert taken(line) == ["a"]


def test_who_waits_for_a_read_that_may_not_be_begun_holds_up_nobody():
    line = Line()
    line.wait_to_read("a")
    line.wait("b")
    assert taken(line, may_read=False) == ["b"]
    assert list(line.waiting) == ["a"]


def test_who_has_read_in_its_turn_is_first_when_there_is_credit_again():
    line = Line()
    line.wait_to_read("a")
    line.wait("b")
    line.wait_first("c")
    assert taken(line) == ["c", "a", "b"]


def test_who_waits_already_keeps_its_place_and_has_one_only():
    line = Line()
    for who in "aba":
        line.wait(who)
    line.wait_to_read("c")
    line.wait("c")
    line.leave("b")
    line.leave("b")
    assert taken(line) == ["a", "c"]
    assert taken(line) == []


def test_only_so_many_read_at_a_time_and_whoever_ends_is_told():
    told = []
    reads = Reads(lambda: told.append(1))
    for _ in range(BUSY_MAX_COUNT):
        assert reads.is_free
        reads.begin()
    assert not reads.is_free
    reads.end()
    assert reads.is_free
    assert told == [1]


def test_who_kept_something_longest_drops_it_when_all_together_keep_too_much():
    reads, keepers = Reads(lambda: None), [Keeper() for _ in range(4)]
    for keeper in keepers[:3]:
        reads.keep(keeper, KEPT_MAX_BYTES // 3)
    # The first has used it since.
    reads.keep(keepers[0], KEPT_MAX_BYTES // 3)
    reads.keep(keepers[3], KEPT_MAX_BYTES // 3)
    assert [keeper.has_dropped for keeper in keepers] == [False, True, False, False]
    reads.forget(keepers[2])
    reads.keep(keepers[1], KEPT_MAX_BYTES // 3)
    assert not keepers[2].has_dropped
    assert not keepers[0].has_dropped
