import pytest

from conduit.core.interest import Interest
from conduit.core.members import Node

B = Node("b", "01")
C = Node("c", "02")


def entry(pattern, tenant="acme", subscription=""):
    return (tenant, subscription, pattern)


def known(nodes=(B, C), **bounds):
    """All of them are known to want nothing, at version 1."""
    interest = Interest(**bounds)
    interest.set_nodes(nodes)
    for node in nodes:
        assert interest.begin(node, 1)
        interest.end(node, 1)
    assert interest.unknown == ()
    return interest


def read(interest, node, version, entries):
    assert interest.begin(node, version)
    interest.load(node, entries)
    interest.end(node, version)


def test_a_node_is_unknown_until_its_state_was_read():
    interest = Interest()
    interest.set_nodes([B, C])
    assert set(interest.unknown) == {B, C}
    assert interest.wanting("acme", "a") == {}
    assert interest.next_unread() == B
    read(interest, B, 7, [(entry("a"), 2), (entry(">"), 1)])
    assert interest.unknown == (C,)
    assert interest.next_unread() == C
    assert interest.wanting("acme", "a") == {B: 3}
    assert interest.wanting("acme", "b") == {B: 1}
    assert interest.is_known(B)
    assert not interest.is_known(C)
    assert interest.entry_count() == 2


def test_who_is_to_be_told_is_who_wants_it_and_who_is_unknown():
    interest = known()
    assert interest.to_be_told("acme", "a") == {}
    interest.hear(B, 2, [(entry("a"), 2)])
    assert interest.to_be_told("acme", "a") == {"b": 2}
    interest.hear(C, 9, None)
    assert interest.to_be_told("acme", "a") == {"b": 2, "c": 0}
    assert interest.to_be_told("other", "a") == {"c": 0}
    read(interest, C, 9, [(entry("a"), 1)])
    assert interest.to_be_told("acme", "a") == {"b": 2, "c": 1}


def test_changes_are_followed_and_what_was_found_before_is_forgotten():
    interest = known()
    assert interest.wanting("acme", "a") == {}
    interest.hear(B, 2, [(entry("a"), 2)])
    assert interest.wanting("acme", "a") == {B: 2}
    interest.hear(C, 2, [(entry("*"), 1)])
    assert interest.wanting("acme", "a") == {B: 2, C: 1}
    assert interest.wanting("other", "a") == {}
    interest.hear(B, 3, [(entry("a"), 0)])
    interest.hear(C, 3, [(entry("*"), 4)])
    assert interest.wanting("acme", "a") == {C: 4}


def test_what_has_not_changed_is_found_in_memory():
    interest = known()
    interest.hear(B, 2, [(entry("a"), 2)])
    first = interest.wanting("acme", "a")
    interest.hear(B, 3, [(entry("b"), 2), (entry("*", tenant="other"), 1)])
    assert interest.wanting("acme", "a") is first


def test_what_is_kept_of_answers_is_bounded():
    interest = known(cached_max_count=3)
    for number in range(10):
        interest.wanting(f"t{number}", "a")
    assert sum(map(len, interest._cache.values())) <= 3
    interest = known(cached_max_count=1000)
    for number in range(10):
        interest.wanting(f"t{number}", "a")
        interest.hear(B, number + 2, [(entry("a", tenant=f"t{number}"), 1)])
    assert (interest._cache, interest._cached_count) == ({}, 0)


def test_an_announcement_that_comes_twice_or_late_changes_nothing():
    interest = known()
    interest.hear(B, 2, [(entry("a"), 2)])
    interest.hear(B, 3, [(entry("a"), 1)])
    interest.hear(B, 2, [(entry("a"), 2)])
    interest.hear(B, 3, [(entry("a"), 1)])
    # What is written anew is what is known.
    interest.hear(B, 3, None)
    assert interest.wanting("acme", "a") == {B: 1}
    assert interest.hole_count == 0


@pytest.mark.parametrize(("version", "changes"), [(3, [(entry("a"), 1)]), (2, None)])
def test_after_a_hole_the_node_is_unknown_until_all_was_read(version, changes):
    interest = known()
    interest.hear(B, version, changes)
    assert interest.unknown == (B,)
    assert interest.next_unread() == B
    assert interest.wanting("acme", "a") == {}
    # What follows on the hole does not fill it.
    interest.hear(B, version + 1, [(entry("a"), 2)])
    assert interest.unknown == (B,)
    read(interest, B, version + 1, [(entry("a"), 2)])
    assert interest.unknown == ()
    assert interest.wanting("acme", "a") == {B: 2}
    assert interest.hole_count == 1


def test_what_is_heard_while_a_state_is_read_wins_over_what_is_read():
    interest = known()
    interest.hear(B, 9, None)
    interest.begin(B, 9)
    interest.load(B, [(entry("a"), 1)])
    interest.hear(B, 10, [(entry("b"), 2), (entry("a"), 0)])
    interest.load(B, [(entry("b"), 1), (entry("c"), 1)])
    interest.hear(B, 9, [(entry("c"), 7)])
    interest.end(B, 10)
    assert interest.is_known(B)
    counts = [interest.wanting("acme", topic).get(B) for topic in ("a", "b", "c")]
    assert counts == [None, 2, 1]
    interest.hear(B, 11, [(entry("c"), 5)])
    assert interest.wanting("acme", "c") == {B: 5}


def test_a_state_holds_once_everything_up_to_its_end_was_heard():
    interest = known()
    interest.hear(B, 9, None)
    interest.begin(B, 9)
    interest.end(B, 11)
    interest.hear(B, 10, [(entry("a"), 1)])
    assert interest.unknown == (B,)
    interest.hear(B, 11, [(entry("a"), 2)])
    assert interest.unknown == ()
    assert interest.wanting("acme", "a") == {B: 2}


def test_if_that_never_comes_all_is_read_again():
    interest = known()
    interest.hear(B, 9, None)
    interest.begin(B, 9)
    interest.look(B, 9)
    interest.end(B, 11)
    assert interest.next_unread() is None
    interest.look(B, 11)
    assert interest.next_unread() is None
    interest.look(B, 11)
    assert interest.next_unread() == B


@pytest.mark.parametrize(("version", "changes"), [(11, [(entry("a"), 1)]), (10, None)])
def test_a_hole_while_it_is_read_begins_the_reading_anew(version, changes):
    interest = known()
    interest.hear(B, 9, None)
    interest.begin(B, 9)
    interest.hear(B, version, changes)
    assert interest.next_unread() == B
    assert not interest.load(B, [(entry("a"), 1)])
    interest.end(B, 9)
    assert interest.unknown == (B,)


def test_a_last_announcement_that_is_lost_is_noticed_at_the_second_look():
    interest = known()
    interest.look(B, 1)
    interest.look(B, 2)
    assert interest.unknown == ()
    interest.look(B, 2)
    assert interest.unknown == (B,)
    assert interest.next_unread() == B


def test_one_that_comes_between_two_looks_was_not_lost():
    interest = known()
    for version in range(2, 10):
        interest.look(B, version)
        interest.hear(B, version, [(entry("a"), version)])
        interest.look(B, version - 1)
    assert interest.unknown == ()


def test_while_nothing_is_heard_all_are_unknown_and_what_has_not_changed_is_not_read_again():
    interest = known()
    interest.hear(B, 2, [(entry("a"), 2)])
    interest.distrust()
    assert set(interest.unknown) == {B, C}
    assert interest.wanting("acme", "a") == {}
    assert interest.next_unread() is None
    interest.look(B, 2)
    interest.look(C, 1)
    assert set(interest.unknown) == {B, C}
    assert not interest.begin(B, 2)
    assert interest.begin(C, 2)
    assert interest.wanting("acme", "a") == {B: 2}
    assert interest.unknown == (C,)


def test_a_change_that_follows_what_is_here_proves_that_nothing_was_missed():
    interest = known()
    interest.distrust()
    interest.hear(B, 2, [(entry("a"), 2)])
    assert interest.unknown == (C,)
    interest.hear(C, 3, [(entry("a"), 2)])
    assert interest.unknown == (C,)
    assert interest.next_unread() == C


def test_an_old_copy_of_a_state_is_not_read():
    interest = known()
    interest.hear(B, 2, [(entry("a"), 2)])
    interest.distrust()
    assert not interest.begin(B, 1)
    assert B in interest.unknown
    interest.look(B, 2)
    assert not interest.begin(B, 2)
    assert interest.wanting("acme", "a") == {B: 2}


def test_nodes_that_are_not_seen_any_more_are_unknown():
    interest = known()
    interest.hear(C, 2, [(entry("a"), 2)])
    interest.keep_trust_in([B])
    assert interest.unknown == (C,)
    interest.look(C, 2)
    assert not interest.begin(C, 2)
    assert interest.wanting("acme", "a") == {C: 2}


def test_nodes_that_are_gone_are_forgotten_and_come_back_as_strangers():
    interest = known()
    interest.hear(B, 2, [(entry("a"), 2)])
    interest.set_nodes([C])
    assert interest.wanting("acme", "a") == {}
    assert interest.unknown == ()
    interest.hear(B, 3, [(entry("a"), 2)])
    interest.look(B, 3)
    assert not interest.begin(B, 3)
    interest.end(B, 3)
    interest.give_up(B)
    assert interest.wanting("acme", "a") == {}
    interest.set_nodes([B, C])
    assert interest.unknown == (B,)


def test_one_that_cannot_be_read_waits_for_the_next_look():
    interest = known()
    interest.hear(B, 5, None)
    interest.give_up(B)
    assert interest.next_unread() is None
    assert interest.unknown == (B,)
    interest.look(B, 5)
    assert interest.next_unread() == B
    interest.give_up(B)
    interest.hear(B, 6, None)
    assert interest.next_unread() == B


def test_a_node_with_too_much_wants_everything_and_is_read_no_further():
    interest = known(entries_max_count=2)
    interest.hear(B, 5, None)
    interest.begin(B, 5)
    assert interest.load(B, [(entry("a"), 1), (entry("b"), 1)])
    assert not interest.load(B, [(entry("c"), 1)])
    interest.end(B, 5)
    assert interest.wanting("other", "z") == {B: 0}
    interest.hear(B, 6, [(entry("c"), 0)])
    assert interest.wanting("acme", "z") == {B: 0}
    interest.hear(C, 2, [(entry(topic), 1) for topic in "abc"])
    assert interest.wanting("acme", "z") == {B: 0, C: 0}


def test_a_node_that_says_so_wants_everything():
    interest = known()
    interest.wanting("acme", "a")
    interest.hear(B, 2, None)
    assert interest.begin(B, 2, has_all=True)
    interest.end(B, 2)
    assert interest.wanting("acme", "a") == {B: 0}


def test_what_is_heard_during_one_reading_is_bounded():
    interest = known(entries_max_count=2)
    interest.hear(B, 5, None)
    interest.begin(B, 5)
    for version, topic in enumerate("abcabc", 6):
        interest.hear(B, version, [(entry(topic), 1), (entry(topic), 0)])
    interest.end(B, 11)
    assert interest.wanting("acme", "z") == {B: 0}
