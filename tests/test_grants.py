import itertools

import msgspec
import pytest

from conduit.core.topics import matches
from conduit.errors import InvalidRequest
from conduit.grants import (
    GRANTS_MAX_COUNT,
    PATTERNS_MAX_COUNT,
    Grant,
    check_grants,
    covered,
    covers,
    within,
)

# Every pattern of up to three tokens, of two names and the wildcards; and every topic of up to four.
NAMES = ("a", "b")
TOPICS = [
    ".".join(tokens) for count in range(1, 5) for tokens in itertools.product(NAMES, repeat=count)
]
PATTERNS = [
    ".".join((*front, last))
    for count in range(3)
    for front in itertools.product((*NAMES, "*"), repeat=count)
    for last in (*NAMES, "*", ">")
]


@pytest.mark.parametrize("wide", PATTERNS)
def test_a_pattern_covers_another_if_it_matches_all_of_its_topics(wide):
    for narrow in PATTERNS:
        topics = [topic for topic in TOPICS if matches(narrow, topic)]
        # Two names are not all names: where a wildcard stands, a third one may stand as well.
        everywhere = all(matches(wide, topic) for topic in [*topics, *_others(narrow)])
        assert covers(wide, narrow) == everywhere, narrow


def _others(pattern):
    """Topics of the pattern that have another name where it has a wildcard."""
    for more in range(1, 4):
        yield ".".join(
            "c" if token == "*" else ".".join(["c"] * more) if token == ">" else token
            for token in pattern.split(".")
        )


def test_no_patterns_are_all_and_one_that_covers_is_enough():
    assert covered(None, "a.>")
    assert covered(["b", "a.*"], "a.b")
    assert not covered(["b", "a.*"], "a.>")
    assert not covered([], "a")


@pytest.mark.parametrize(
    ("narrow", "wide", "is_within"),
    [
        (Grant(scope="publish"), [Grant(scope="publish")], True),
        (Grant(scope="publish"), [Grant(scope="manage"), Grant(scope="subscribe")], False),
        (Grant(scope="publish"), [Grant(scope="admin")], True),
        (Grant(scope="admin"), [Grant(scope="manage"), Grant(scope="publish")], False),
        (Grant(scope="publish", topics=("a",)), [Grant(scope="publish")], True),
        (Grant(scope="publish"), [Grant(scope="publish", topics=(">",))], False),
        (
            Grant(scope="publish", topics=("a", "b.c")),
            [Grant(scope="publish", topics=("a",))],
            False,
        ),
        (
            Grant(scope="publish", topics=("a", "b.c")),
            [Grant(scope="publish", topics=("a", "b.*"))],
            True,
        ),
        (
            Grant(scope="subscribe", subscriptions=("s",)),
            [Grant(scope="subscribe", subscriptions=("*",))],
            True,
        ),
        (Grant(scope="subscribe"), [Grant(scope="subscribe", subscriptions=("*",))], False),
    ],
)
def test_a_grant_is_within_others_if_it_gives_nothing_more(narrow, wide, is_within):
    assert within(narrow, wide) == is_within


@pytest.mark.parametrize(
    ("grants", "field"),
    [
        ([], "scopes"),
        ([Grant(scope="publish")] * (GRANTS_MAX_COUNT + 1), "scopes"),
        ([Grant(scope="admin", topics=("a",))], "scopes.0.scope"),
        ([Grant(scope="publish"), Grant(scope="publish", topics=())], "scopes.1.topics"),
        ([Grant(scope="publish", topics=("a..b",))], "scopes.0.topics"),
        ([Grant(scope="publish", topics=("a",) * (PATTERNS_MAX_COUNT + 1))], "scopes.0.topics"),
        ([Grant(scope="publish", topics=("a",) * PATTERNS_MAX_COUNT)] * 3, "scopes"),
        ([Grant(scope="publish", subscriptions=("s",))], "scopes.0.subscriptions"),
        ([Grant(scope="subscribe", subscriptions=("s\0",))], "scopes.0.subscriptions"),
    ],
)
def test_what_may_not_be_given_is_refused_and_the_place_is_named(grants, field):
    with pytest.raises(InvalidRequest) as refused:
        check_grants(grants)
    assert refused.value.field == field


def test_what_may_be_given_comes_back():
    grants = [
        Grant(scope="subscribe", topics=("a.>",), subscriptions=("web.*",)),
        Grant(scope="admin"),
    ]
    assert check_grants(grants) == tuple(grants)


def test_on_the_wire_a_grant_has_what_limits_it_and_nothing_else():
    grant = Grant(scope="subscribe", topics=("a.>",))
    text = b'{"scope":"subscribe","topics":["a.>"]}'
    assert msgspec.json.encode(grant) == text
    assert msgspec.json.decode(text, type=Grant) == grant
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"scope":"root"}', type=Grant)
