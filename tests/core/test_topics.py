import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.topics import PatternTrie, TopicIndex, matches
from conduit.names import check_pattern, check_topic

tokens = st.sampled_from(["a", "b", "cc", "A", "0-_"])
topics = st.lists(tokens, min_size=1, max_size=5).map(".".join)
patterns = st.builds(
    lambda body, last: ".".join([*body, last]),
    st.lists(tokens | st.just("*"), max_size=4),
    tokens | st.sampled_from(["*", ">"]),
)


def naive_matches(pattern, topic):
    """The grammar's sentence as a regular expression."""
    as_regex = {"*": r"[^.]+", ">": r".+"}
    spelled = r"\.".join(as_regex.get(token, re.escape(token)) for token in pattern.split("."))
    return re.fullmatch(spelled, topic) is not None


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("orders.created", "orders.created", True),
        ("orders.created", "orders.created.eu", False),
        ("orders", "orders.created", False),
        ("Orders", "orders", False),
        ("*", "orders", True),
        ("*", "orders.created", False),
        (">", "orders", True),
        (">", "orders.created.eu", True),
        ("orders.>", "orders", False),
        ("orders.>", "orders.created", True),
        ("orders.>", "orders.created.eu", True),
        ("orders.>", "orders2.created", False),
        ("orders.*", "orders.created", True),
        ("orders.*", "orders", False),
        ("*.created", "orders.created", True),
        ("*.created", "orders.deleted", False),
        ("*.*.eu", "orders.created.eu", True),
        ("*.>", "orders", False),
        ("*.>", "orders.created", True),
        ("orders.*.>", "orders.created", False),
        ("orders.*.>", "orders.created.eu.de", True),
    ],
)
def test_star_is_one_token_and_the_arrow_is_one_or_more(pattern, topic, expected):
    trie = PatternTrie()
    trie.add(pattern, "value")

    assert matches(pattern, topic) is expected
    assert trie.match(topic) == (["value"] if expected else [])


@given(patterns, topics)
def test_matching_agrees_with_the_grammar(pattern, topic):
    check_pattern(pattern)
    check_topic(topic)

    assert matches(pattern, topic) == naive_matches(pattern, topic)


@given(st.data())
def test_the_trie_agrees_with_trying_every_pattern(data):
    pool = data.draw(st.lists(patterns, min_size=1, max_size=6, unique=True))
    pairs = st.tuples(st.booleans(), st.sampled_from(pool), st.integers(1, 3))
    trie, model = PatternTrie(), set()

    for adding, pattern, value in data.draw(st.lists(pairs, max_size=20)):
        if adding:
            trie.add(pattern, value)
            model.add((pattern, value))
        elif (pattern, value) in model:
            trie.remove(pattern, value)
            model.remove((pattern, value))
        else:
            with pytest.raises(KeyError):
                trie.remove(pattern, value)
        topic = data.draw(topics)
        found = trie.match(topic)
        assert sorted(found) == sorted({v for p, v in model if naive_matches(p, topic)})
        assert len(trie) == len(model)


def test_a_value_under_several_matching_patterns_is_found_once():
    trie = PatternTrie()
    for pattern in ("orders.created", "orders.*", "*.created", "orders.>", ">"):
        trie.add(pattern, "billing")

    assert trie.match("orders.created") == ["billing"]
    trie.remove("orders.*", "billing")
    assert trie.match("orders.created") == ["billing"]


def test_removing_everything_leaves_no_nodes_behind():
    trie = PatternTrie()
    pairs = [(f"a.*.{number}.>", number) for number in range(50)] + [("a", 0), ("a.*", 0)]
    for pattern, value in pairs:
        trie.add(pattern, value)
    for pattern, value in pairs:
        trie.remove(pattern, value)

    assert len(trie) == 0
    assert trie._root.children == {}


def test_removing_keeps_what_lies_below_and_beside():
    trie = PatternTrie()
    for pattern in ("a.b", "a.b.c", "a.*"):
        trie.add(pattern, pattern)
    trie.remove("a.b", "a.b")

    assert trie.match("a.b") == ["a.*"]
    assert trie.match("a.b.c") == ["a.b.c"]


def test_patterns_that_do_not_match_cost_nothing():
    def calls_of_a_match(others):
        trie = PatternTrie()
        trie.add("orders.*.eu", "one")
        for number in range(others):
            trie.add(f"orders.created.n{number}", number)
            trie.add(f"n{number}.>", number)
        calls = 0

        def count(_frame, event, _argument):
            nonlocal calls
            calls += event == "c_call"

        sys.setprofile(count)
        try:
            trie.match("orders.created.eu")
        finally:
            sys.setprofile(None)
        return calls

    assert calls_of_a_match(others=5_000) == calls_of_a_match(others=1)


# Topics by pattern --------------------------------------------------------------------------------


@given(st.sets(topics, max_size=30), st.data())
def test_the_index_finds_what_matches_says_whatever_came_and_went(names, data):
    index, left = TopicIndex(), set(names)
    for name in sorted(names):
        index.add(name, name)
    for name in data.draw(st.sets(st.sampled_from(sorted(names))) if names else st.just(set())):
        index.remove(name)
        left.remove(name)
    pattern = data.draw(patterns)
    found = list(index.match(pattern))
    assert sorted(found) == sorted(name for name in left if matches(pattern, name))


def test_a_topic_takes_the_place_of_another_and_its_parents_stay():
    index = TopicIndex()
    for topic, name in enumerate(("a.b", "a", "a.b.c", "a.b")):
        index.add(name, topic)

    assert sorted(index.match(">")) == [1, 2, 3]
    index.remove("a.b")
    assert sorted(index.match("a.>")) == [2]
    assert list(index.match("a")) == [1]
    for name in ("a.b", "x", "a.b.c.d"):
        with pytest.raises(KeyError):
            index.remove(name)


def test_nothing_is_left_of_topics_that_went():
    index = TopicIndex()
    index.add("a.b.c", 1)
    index.remove("a.b.c")

    assert index._root.children == {}
