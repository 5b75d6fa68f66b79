from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from conduit.core.acquainted import Acquainted
from conduit.core.members import NODES_MAX_COUNT, Member, Node


def member(name, incarnation="01"):
    return Member(name=name, incarnation=incarnation, address="h:1", version="1.0", since_ms=1)


def names(acquainted):
    return [f"{each.name}{each.incarnation}" for each in acquainted.nodes]


def test_who_is_seen_is_there_by_name():
    acquainted = Acquainted()
    acquainted.look([member("c"), member("b")])
    assert names(acquainted) == ["b01", "c01"]
    acquainted.look([member("c")])
    assert names(acquainted) == ["c01"]


def test_who_is_linked_stays_until_the_link_is_gone():
    acquainted = Acquainted()
    acquainted.look([member("b")])
    acquainted.link_up(Node("b", "01"))
    acquainted.look([])
    assert names(acquainted) == ["b01"]
    acquainted.look([])
    assert names(acquainted) == ["b01"]
    acquainted.link_down(Node("b", "01"))
    assert names(acquainted) == []


def test_who_is_seen_stays_without_a_link():
    acquainted = Acquainted()
    acquainted.look([member("b")])
    acquainted.link_up(Node("b", "01"))
    acquainted.link_down(Node("b", "01"))
    assert names(acquainted) == ["b01"]


def test_who_has_the_name_of_one_that_is_linked_waits_until_that_link_is_gone():
    acquainted = Acquainted()
    acquainted.look([member("b", "01")])
    acquainted.link_up(Node("b", "01"))
    acquainted.look([member("b", "02")])
    assert names(acquainted) == ["b01"]
    acquainted.link_down(Node("b", "01"))
    assert names(acquainted) == ["b02"]
    # What the former link does is nothing to it.
    acquainted.link_down(Node("b", "01"))
    assert names(acquainted) == ["b02"]
    acquainted.look([])
    assert names(acquainted) == []


def test_who_is_linked_has_the_address_that_it_said_last_itself():
    acquainted = Acquainted()
    acquainted.look([member("b", "01")])
    acquainted.link_up(Node("b", "01"))
    acquainted.look([replace(member("b", "02"), address="elsewhere:1")])
    assert [each.address for each in acquainted.nodes] == ["h:1"]
    acquainted.look([replace(member("b", "01"), address="h:2")])
    assert [each.address for each in acquainted.nodes] == ["h:2"]


def test_who_was_kept_and_is_seen_again_is_there_once():
    acquainted = Acquainted()
    acquainted.look([member("b")])
    acquainted.link_up(Node("b", "01"))
    acquainted.look([])
    acquainted.look([member("b")])
    acquainted.link_down(Node("b", "01"))
    assert names(acquainted) == ["b01"]


def test_there_are_not_more_than_a_cluster_may_have_and_those_that_are_linked_come_first():
    acquainted = Acquainted()
    some = [member(f"n{n:03}") for n in range(NODES_MAX_COUNT)]
    acquainted.look(some)
    for each in some[1:]:
        acquainted.link_up(each.node)
    acquainted.look([member("new"), member("newer")])
    assert len(acquainted.nodes) == NODES_MAX_COUNT
    assert {each.name for each in acquainted.nodes} == {"new", *(each.name for each in some[1:])}


NODES = st.tuples(st.sampled_from("bcd"), st.sampled_from(["01", "02"]))
STEPS = st.one_of(
    st.tuples(
        st.just("look"), st.dictionaries(st.sampled_from("bcd"), st.sampled_from(["01", "02"]))
    ),
    st.tuples(st.sampled_from(["up", "down"]), NODES),
)


@given(st.lists(STEPS, max_size=40))
def test_who_is_linked_stays_and_of_other_names_who_is_seen_is_there(steps):
    acquainted = Acquainted()
    seen, linked = {}, set()
    for kind, what in steps:
        before = {tuple(each.node) for each in acquainted.nodes}
        if kind == "look":
            seen = what
            acquainted.look([member(*each) for each in seen.items()])
        elif kind == "up":
            linked.add(what)
            acquainted.link_up(Node(*what))
        else:
            linked.discard(what)
            acquainted.link_down(Node(*what))
        found = {tuple(each.node) for each in acquainted.nodes}
        assert len({name for name, _ in found}) == len(found)
        assert before & linked <= found
        assert found <= set(seen.items()) | before & linked | (before if kind == "up" else set())
        assert seen.keys() <= {name for name, _ in found}
