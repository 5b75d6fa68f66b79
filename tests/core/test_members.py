from conduit.core.members import FORGIVEN_S, NODES_MAX_COUNT, Member, Members, Node

OWN = Node("a", "01")


def member(name, incarnation, address="host:1"):
    return Member(name=name, incarnation=incarnation, address=address, version="1.0", since_ms=1)


def test_others_are_those_that_say_that_they_are_there():
    members = Members(OWN)
    assert members.look([member("a", "01"), member("c", "03"), member("b", "02")], 0.0)
    assert [each.name for each in members.others] == ["b", "c"]
    assert not members.look([member("b", "02"), member("c", "03")], 1.0)
    assert members.look([member("b", "02", "host:2"), member("c", "03")], 2.0)
    assert members.look([member("c", "03")], 3.0)
    assert [each.name for each in members.others] == ["c"]


def test_of_two_with_one_name_the_later_one_counts():
    members = Members(OWN)
    members.look([member("b", "05"), member("b", "02")], 0.0)
    assert [each.incarnation for each in members.others] == ["05"]
    assert members.seen == {Node("b", "05"), Node("b", "02")}


def test_another_with_the_name_of_this_node_is_seen_and_not_counted():
    members = Members(OWN)
    assert not members.look([member("a", "02")], 0.0)
    assert members.has_double
    assert members.others == ()
    members.look([], 1.0)
    assert not members.has_double


def test_after_everything_was_lost_others_have_time_to_come_back():
    members = Members(OWN)
    members.look([member("b", "02"), member("c", "03")], 0.0)
    members.forgive(10.0)
    assert not members.look([], 10.0)
    assert not members.look([member("b", "02")], 9.9 + FORGIVEN_S)
    assert members.look([member("b", "02")], 10.0 + FORGIVEN_S)
    assert [each.name for each in members.others] == ["b"]


def test_who_says_goodbye_is_gone_at_once():
    members = Members(OWN)
    members.look([member("b", "02"), member("c", "03")], 0.0)
    members.forgive(1.0)
    assert members.leave(Node("b", "02"))
    assert not members.leave(Node("b", "02"))
    assert [each.name for each in members.others] == ["c"]


def test_no_more_are_kept_than_a_cluster_may_have():
    members = Members(OWN)
    members.look([member(f"n{number}", f"{number:05}") for number in range(1000)], 0.0)
    assert len(members.others) == NODES_MAX_COUNT
    assert members.others[-1].name == "n999"
