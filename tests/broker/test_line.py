"""Whose turn it is in a subscription."""

from conduit.broker.deliver.line import Line


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
