import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.ring import VIRTUAL_NODES_COUNT, Ring, place

KEYS = [f"default/billing-{n}" for n in range(2_000)]
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
CLUSTERS = st.lists(NAMES, min_size=1, max_size=6, unique=True)
# Two texts with one CRC32, and so all their places.
TWINS = ("plumless", "buckeroo")
PLACES = [0, 396548878, 4021346071, 1756041165]
OWNERS = "11332131133232211323"


def owners(*nodes: str) -> dict[str, str | None]:
    ring = Ring(nodes)
    return {key: ring.owner(key) for key in KEYS}


def test_without_a_node_nobody_has_anything():
    assert Ring([]).owner("default/billing") is None
    assert Ring([]).shares() == {}


def test_one_node_has_all():
    assert set(owners("a").values()) == {"a"}
    assert Ring(["a"]).shares() == {"a": 1.0}


def test_places_are_the_same_on_every_machine():
    """Nodes of several versions must agree: who changes this moves all that a cluster has."""
    assert [place(text) for text in ("", "node-1#0", "default/billing", "ä")] == PLACES
    ring = Ring(["node-1", "node-2", "node-3"])
    assert [ring.owner(key)[-1] for key in KEYS[:20]] == list(OWNERS)


@given(CLUSTERS, st.randoms())
def test_the_order_of_the_nodes_and_repetitions_mean_nothing(nodes, random):
    shuffled = [*nodes, *nodes]
    random.shuffle(shuffled)
    assert owners(*shuffled) == owners(*nodes)


@given(CLUSTERS, NAMES)
def test_a_node_that_comes_or_goes_moves_only_what_it_gets_or_had(nodes, name):
    others = [node for node in nodes if node != name]
    before, after = owners(*others), owners(*others, name)
    moved = {key for key in KEYS if before[key] != after[key]}
    assert {after[key] for key in moved} <= {name}
    assert moved == {key for key in KEYS if after[key] == name}


@pytest.mark.parametrize("count", [2, 3, 5, 10, 50])
@pytest.mark.parametrize(
    "named", ["node-{}", "server-{}", "10.0.0.{}", "{}", "conduit-7d9c6b5f4-x{}"]
)
def test_a_node_more_moves_about_its_share(named, count):
    nodes = [named.format(n) for n in range(count)]
    before, after = owners(*nodes[1:]), owners(*nodes)
    moved_count = sum(before[key] != after[key] for key in KEYS)
    assert moved_count * count / len(KEYS) == pytest.approx(1, abs=0.4)


@given(CLUSTERS)
def test_shares_are_of_the_whole_ring_and_say_who_has_how_many(nodes):
    shares = Ring(nodes).shares()
    assert list(shares) == sorted(nodes)
    assert sum(shares.values()) == pytest.approx(1)
    found = list(owners(*nodes).values())
    for node, share in shares.items():
        assert found.count(node) / len(found) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("count", [2, 3, 5, 10, 50])
@pytest.mark.parametrize(
    "named", ["node-{}", "server-{}", "10.0.0.{}", "{}", "conduit-7d9c6b5f4-x{}"]
)
def test_shares_of_similar_names_are_even(named, count):
    shares = Ring(named.format(n) for n in range(count)).shares()
    assert min(shares.values()) * count > 0.7
    assert max(shares.values()) * count < 1.35


def test_of_nodes_at_one_place_the_first_by_name_has_it():
    first, second = sorted(TWINS)
    assert [place(f"{node}#7") for node in TWINS] == [place(f"{first}#7")] * 2
    assert Ring(TWINS).shares() == {first: 1.0, second: 0.0}
    assert owners(*TWINS) == owners(*reversed(TWINS)) == owners(first)
    # What the first leaves goes to the second, and nothing else moves.
    with_third, without = owners(*TWINS, "a"), owners(second, "a")
    assert {with_third[key] for key in KEYS if with_third[key] != without[key]} == {first}


def test_a_node_stands_at_so_many_places():
    assert len(Ring(["a", "b", "a"])._places) == 2 * VIRTUAL_NODES_COUNT
