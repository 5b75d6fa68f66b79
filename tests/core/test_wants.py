import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.topics import matches
from conduit.core.wants import Wants

TENANTS = ("acme", "other")
TOPICS = ("a", "a.b", "a.c", "a.b.c", "d")
PATTERNS = (*TOPICS, "*", ">", "a.*", "a.>", "*.b", "a.*.c")

entries = st.tuples(
    st.sampled_from(TENANTS), st.sampled_from(["", "billing"]), st.sampled_from(PATTERNS)
)


def test_who_names_the_topic_and_who_names_a_pattern_of_it_are_counted_together():
    wants = Wants()
    wants.put(("acme", "", "orders.created"), 3)
    wants.put(("acme", "billing", "orders.created"), 1)
    wants.put(("acme", "", "orders.>"), 5)
    assert wants.count("acme", "orders.created") == 9
    assert wants.count("acme", "orders.deleted") == 5
    assert wants.count("acme", "orders") is None
    assert wants.count("other", "orders.created") is None
    assert len(wants) == 3


@given(st.lists(st.tuples(entries, st.integers(0, 3)), max_size=60))
def test_it_is_what_a_list_of_all_entries_would_say(puts):
    wants = Wants()
    naive = {}
    for entry, count in puts:
        wants.put(entry, count)
        naive[entry] = count
    for tenant in TENANTS:
        for topic in TOPICS:
            count = sum(
                count
                for (of, _, pattern), count in naive.items()
                if of == tenant and matches(pattern, topic)
            )
            assert wants.count(tenant, topic) == (count or None)
    assert len(wants) == sum(count > 0 for count in naive.values())


def test_with_more_entries_than_it_may_have_a_node_wants_everything():
    wants = Wants(max_count=2)
    wants.put(("acme", "", "a"), 1)
    wants.put(("acme", "", "b"), 1)
    wants.put(("acme", "", "b"), 4)
    assert not wants.has_all
    assert wants.count("acme", "c") is None
    wants.put(("acme", "", "c"), 1)
    assert wants.has_all
    assert wants.count("nobody", "nothing") == 0
    assert len(wants) == 0
    wants.put(("acme", "", "c"), 0)
    assert wants.count("acme", "c") == 0


@pytest.mark.parametrize("pattern", ["a.b", "a.*"])
def test_what_nobody_wants_any_more_leaves_nothing_behind(pattern):
    wants = Wants()
    wants.put(("acme", "", pattern), 2)
    wants.put(("acme", "", pattern), 0)
    wants.put(("acme", "", pattern), 0)
    assert wants.count("acme", "a.b") is None
    assert not wants._tenants
