from conduit.cluster.placement import Placement
from conduit.core.ring import Ring
from conduit.storage.nodes import NodeRecord


def record(name: str, state: str = "up") -> NodeRecord:
    return NodeRecord(
        name=name,
        incarnation="i",
        address="x:1",
        version="1",
        protocol=1,
        number=1,
        state=state,
        started_at_ms=0,
        lease_until_ms=0,
        left_s=1.0,
        has_left=False,
    )


def test_nobody_has_anything_before_it_is_known_who_lives():
    assert Placement().owner_of("default", "s") is None


def test_the_ring_of_those_that_take_something_new_decides():
    placement = Placement()
    assert placement.set_nodes([record("a"), record("b"), record("c", "draining")])
    ring = Ring("ab")
    for n in range(50):
        assert placement.owner_of("acme", f"s{n}") == ring.owner(f"acme/s{n}")


def test_it_says_whether_anything_changes():
    placement = Placement()
    assert placement.set_nodes([record("a")])
    before = placement.ring
    assert not placement.set_nodes([record("a"), record("b", "draining")])
    assert placement.ring is before
    assert placement.set_nodes([record("a"), record("b")])
    assert placement.ring is not before
