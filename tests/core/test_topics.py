import gc
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.topics import PatternTrie, TopicIndex, any_matcher, matcher, matches, prefix_of
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


@given(patterns | topics, topics)
def test_a_matcher_of_one_pattern_agrees_with_matching(pattern, topic):
    assert matcher(pattern)(topic) == matches(pattern, topic)
    if matches(pattern, topic):
        assert topic.startswith(prefix_of(pattern))


@given(st.lists(patterns | topics, max_size=6), topics)
def test_a_matcher_of_several_patterns_agrees_with_trying_each(several, topic):
    assert any_matcher(several)(topic) == any(matches(pattern, topic) for pattern in several)


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


def calls_of(function, argument):
    """How many calls into C the function makes: its work, without a clock."""
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "c_call"

    # A collection in between would call what listens to collections.
    gc.disable()
    sys.setprofile(count)
    try:
        function(argument)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_patterns_that_do_not_match_cost_nothing():
    def calls_of_a_match(others):
        trie = PatternTrie()
        trie.add("orders.*.eu", "one")
        for number in range(others):
            trie.add(f"orders.created.n{number}", number)
            trie.add(f"n{number}.>", number)
        return calls_of(trie.match, "orders.created.eu")

    assert calls_of_a_match(others=5_000) == calls_of_a_match(others=1)


# Topics by pattern --------------------------------------------------------------------------------


def indexed(*names):
    index = TopicIndex()
    for name in names:
        index.add(name, name)
    return index


@given(st.data())
def test_the_index_agrees_with_trying_every_topic(data):
    pool = data.draw(st.lists(topics, min_size=1, max_size=8, unique=True))
    steps = st.tuples(st.booleans(), st.sampled_from(pool), st.integers(1, 99))
    index, model = TopicIndex(), {}

    for adding, name, topic in data.draw(st.lists(steps, max_size=20)):
        if adding:
            index.add(name, topic)
            model[name] = topic
        elif name in model:
            index.remove(name)
            del model[name]
        else:
            with pytest.raises(KeyError):
                index.remove(name)
        pattern = data.draw(patterns | st.sampled_from(pool))
        found = list(index.match(pattern))
        assert sorted(found) == sorted(t for n, t in model.items() if matches(pattern, n))


def test_a_topic_is_found_by_its_name_and_not_by_what_lies_above_or_below_it():
    index = indexed("orders", "orders.created", "orders.created.eu")

    assert list(index.match("orders.created")) == ["orders.created"]
    assert list(index.match("orders.created.de")) == []
    assert list(index.match("orders.created.eu.de")) == []
    assert sorted(index.match("orders.>")) == ["orders.created", "orders.created.eu"]
    assert list(index.match("*")) == ["orders"]


def test_a_topic_under_a_name_that_is_taken_replaces_the_other():
    index = indexed("orders")
    index.add("orders", "another")

    assert list(index.match(">")) == ["another"]
    index.remove("orders")
    assert list(index.match(">")) == []


def test_removing_a_topic_keeps_what_lies_above_below_and_beside():
    index = indexed("a", "a.b", "a.b.c", "a.d")
    index.remove("a.b")
    assert sorted(index.match(">")) == ["a", "a.b.c", "a.d"]
    with pytest.raises(KeyError):
        index.remove("a.b")

    index.remove("a.b.c")
    assert sorted(index.match(">")) == ["a", "a.d"]
    with pytest.raises(KeyError):
        index.remove("a.b")


def test_removing_every_topic_leaves_no_places_behind():
    names = [f"a.b{number}.c" for number in range(50)] + ["a", "a.b1", "x.y.z"]
    index = indexed(*names)
    for name in names:
        index.remove(name)

    assert index._root.children == {}


def test_topics_that_do_not_match_cost_nothing():
    def calls_of_a_match(others):
        index = indexed("orders.created.eu", "orders.deleted.eu")
        for number in range(others):
            index.add(f"n{number}.created.eu", number)
            index.add(f"orders.created.n{number}", number)
        return calls_of(lambda pattern: list(index.match(pattern)), "orders.*.eu")

    assert calls_of_a_match(others=5_000) == calls_of_a_match(others=1)
