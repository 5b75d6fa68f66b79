"""Subscriptions that stay loaded without a subscriber."""

from __future__ import annotations

from conduit.broker.deliver.holds import Holds


def test_what_is_held_stays_until_all_have_released_it_and_only_where_it_is_to_run():
    meant, released = {("t", "a")}, []
    holds = Holds(lambda tenant, name: (tenant, name) in meant, lambda: released.append(1))
    holds.hold("t", ["a", "b"])
    holds.hold("t", ["a"])
    assert (holds.has(("t", "a")), holds.has(("t", "b")), holds.has(("u", "a"))) == (1, 0, 0)
    holds.release("t", ["a"])
    assert holds.has(("t", "a"))
    meant.clear()
    assert not holds.has(("t", "a"))
    meant.add(("t", "a"))
    holds.release("t", ["a", "b"])
    assert not holds.has(("t", "a"))
    assert len(released) == 2
