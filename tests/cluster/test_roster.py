from conduit.cluster.roster import PATIENCE_S, Roster
from conduit.storage.nodes import NodeRecord


def record(name: str, left_s: float = 2.0, **more) -> NodeRecord:
    """A node whose lease holds for so much longer."""
    values = {
        "incarnation": f"{name}-1",
        "address": f"{name}.example:8080",
        "version": "1.2.3",
        "protocol": 1,
        "state": "up",
        "number": 1,
        "started_at_ms": 1_000,
        "lease_until_ms": 4_000,
        "has_left": False,
    }
    return NodeRecord(name=name, left_s=left_s, **(values | more))


def roster(*records: NodeRecord) -> Roster:
    made = Roster()
    made.update(records, 100.0)
    return made


def test_those_whose_lease_holds_live_by_name():
    known = roster(record("b"), record("c", -1.0), record("a", 0.0), record("d"))
    assert [each.name for each in known.live] == ["b", "d"]


def test_a_renewal_alone_is_no_change():
    known = roster(record("a"), record("b"))
    assert known.update([record("b", 3.0, lease_until_ms=5_000), record("a")], 101.0) == []


def test_each_change_is_said():
    known = roster(record("a"), record("b"), record("c"), record("d"), record("e"))
    after = [
        record("a", incarnation="a-2", number=2),
        record("b", state="draining"),
        record("c", -0.5),
        record("d", -0.5, has_left=True),
        record("f", address="f.example:9000"),
    ]
    assert known.update(after, 101.0) == [
        "node a was started again, at a.example:8080, Conduit 1.2.3",
        "node b is draining",
        "node f is up, at f.example:9000, Conduit 1.2.3",
        "node c is down: it has not renewed its lease for 3 s",
        "node d has left",
        "node e is down: it has not renewed its lease for 3 s",
    ]


def test_the_next_lease_that_ends_is_another_nodes():
    known = roster(record("a", 0.1), record("b", 2.9), record("c", 0.7), record("d", -1.0))
    assert known.next_end_s("a") == 0.7
    assert roster(record("a")).next_end_s("a") == float("inf")


def test_after_the_store_was_away_those_that_were_there_get_time_to_say_that_they_live():
    known = roster(record("a"), record("b"), record("c"))
    after = [record("a"), record("b", -2.0), record("c", -2.0, has_left=True), record("d", -2.0)]
    assert known.update(after, 106.0) == ["node c has left"]
    assert [each.name for each in known.live] == ["a", "b"]
    assert known.next_end_s("a") == PATIENCE_S
    assert known.update([record("a"), record("b", -3.0)], 107.0) == []
    gone = known.update([record("a"), record("b", -3.6)], 106.0 + PATIENCE_S)
    assert gone == ["node b is down: it has not renewed its lease for 3 s"]


def test_who_was_started_again_meanwhile_is_another_one():
    known = roster(record("a"), record("b"))
    known.update([record("a"), record("b", -2.0, incarnation="b-2")], 106.0)
    assert [each.name for each in known.live] == ["a"]


def test_ages_go_on_between_answers_and_without():
    known = roster(record("a", 2.5), record("b", -7.0), record("c", -7.0, has_left=True))
    ages = {view.id: view.lease_age_s for view in known.views(100.0, "a", holds=True)}
    assert ages == {"a": 0.5, "b": 10.0, "c": 7.0}
    later = known.views(160.0, "a", holds=False)
    assert {view.id: view.lease_age_s for view in later} == {"a": 60.5, "b": 70.0, "c": 67.0}


def test_this_node_knows_itself_whether_it_is_up():
    known = roster(record("a"), record("b", state="draining"))
    assert [view.state for view in known.views(100.0, "a", holds=True)] == ["up", "draining"]
    assert [view.state for view in known.views(100.0, "a", holds=False)] == ["down", "draining"]
    assert [view.state for view in known.views(100.0, "b", holds=False)] == ["up", "down"]


def test_before_the_first_answer_nobody_is_known():
    assert (Roster().live, Roster().views(5.0, "a", holds=False)) == ((), [])
