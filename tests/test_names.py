import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.errors import InvalidRequest
from conduit.names import (
    NAME_LENGTH_MAX,
    NEW_SUBSCRIPTION_SCHEMA,
    PATTERN_SCHEMA,
    SUBSCRIPTION_SCHEMA,
    TOPIC_SCHEMA,
    check_bytes,
    check_new_subscription,
    check_pattern,
    check_subscription,
    check_text,
    check_topic,
    is_id,
    is_pattern,
)

tokens = st.text("AZaz09_-", min_size=1, max_size=8)
topics = st.lists(tokens, min_size=1, max_size=6).map(".".join)


def refusal(check, name, **arguments):
    with pytest.raises(InvalidRequest) as caught:
        check(name, **arguments)
    return caught.value.code, caught.value.field


@settings(deadline=None)
@given(topics)
def test_a_topic_is_tokens_joined_by_dots(name):
    assert check_topic(name) is name
    assert check_pattern(name) is name
    assert not is_pattern(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a\n",
        "\na",
        "a\x00",
        "a/b",
        "a*",
        "*",
        "a.>",
        "é",
        "a.ｂ",
        "٣",
        "a" * (NAME_LENGTH_MAX + 1),
    ],
)
def test_what_is_not_a_topic_is_refused_by_code_and_field(name):
    assert refusal(check_topic, name) == ("invalid_topic", "topic")
    assert refusal(check_topic, name, field="name") == ("invalid_topic", "name")


@pytest.mark.parametrize("check", [check_topic, check_pattern, check_subscription])
def test_a_name_may_be_as_long_as_the_limit(check):
    assert check("a" * NAME_LENGTH_MAX)
    refusal(check, "a" * (NAME_LENGTH_MAX + 1))


@pytest.mark.parametrize(
    "pattern", ["*", ">", "a.*", "*.a", "a.*.b", "a.>", "*.>", "*.*.*", "a-b._.*.>"]
)
def test_wildcards_stand_for_whole_tokens_and_the_arrow_at_the_end(pattern):
    assert is_pattern(pattern)
    assert check_pattern(pattern) is pattern


@pytest.mark.parametrize(
    "pattern",
    ["a*", "*a", "a.b*", "**", ">>", ">.a", "a.>.b", "a.>.>", "*.", ".*", "a..>", "a.*\n", "é.*"],
)
def test_what_is_not_a_pattern_is_refused_by_code_and_field(pattern):
    assert refusal(check_pattern, pattern) == ("invalid_pattern", "topic")


def test_a_bad_name_without_wildcards_is_refused_as_a_topic():
    assert refusal(check_pattern, "a..b") == ("invalid_topic", "topic")
    assert refusal(check_pattern, "") == ("invalid_topic", "topic")


@pytest.mark.parametrize("name", ["billing", "a", "-", "a.b_c-D.9", "...", "a" * NAME_LENGTH_MAX])
def test_a_subscription_has_a_plain_name(name):
    assert check_subscription(name) is name


@pytest.mark.parametrize("name", [".", ".."])
def test_what_a_path_does_not_keep_is_the_name_of_nothing_new(name):
    assert refusal(check_new_subscription, name, field="name") == ("invalid_name", "name")
    assert refusal(check_topic, name) == ("invalid_topic", "topic")
    assert refusal(check_pattern, name) == ("invalid_topic", "topic")
    assert check_subscription(name) is name


@pytest.mark.parametrize("name", ["a", "...", ".a", "a.", "a..b"])
def test_a_new_subscription_may_have_dots(name):
    assert check_new_subscription(name) is name


@pytest.mark.parametrize(
    ("schema", "names", "others"),
    [
        (TOPIC_SCHEMA, ["a", "a.b_c-D.9"], ["", ".", "..", "a..b", "a*", "a\nb", "é"]),
        (PATTERN_SCHEMA, ["a", "a.*", ">", "*.>"], ["", "a*", ">.a", ".."]),
        (SUBSCRIPTION_SCHEMA, ["a", "..", "a..b"], ["", "a b", "a*"]),
        (NEW_SUBSCRIPTION_SCHEMA, ["a", "...", ".a", "a."], ["", "a b", ".", ".."]),
    ],
)
def test_the_schemas_say_the_same(schema, names, others):
    for name in names:
        assert re.search(schema["pattern"], name)
    for name in others:
        assert not re.search(schema["pattern"], name)
    assert (schema["minLength"], schema["maxLength"]) == (1, NAME_LENGTH_MAX)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a*", ">", "a\n", "é", "a:b"])
def test_what_is_not_a_subscription_name_is_refused_by_code_and_field(name):
    assert refusal(check_subscription, name) == ("invalid_name", "subscription")
    assert refusal(check_subscription, name, field="name") == ("invalid_name", "name")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_a_name_or_a_refusal(text):
    for check in (check_topic, check_pattern, check_subscription):
        with suppress(InvalidRequest):
            assert check(text) is text


def test_text_is_bounded_and_has_no_character_zero():
    assert check_text("a\n\U0001f600", "key", 3) == "a\n\U0001f600"
    for text in ("abcd", "a\0"):
        refused = refusal(check_text, text, field="key", max_chars=3)
        assert refused == ("invalid_request", "key")


@pytest.mark.parametrize("text", ["", "a", "\0" * 36, "A" * 36, "0" * 37])
def test_what_is_no_id_is_known_to_be_none(text):
    assert not is_id(text)
    assert is_id("0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69")


def test_a_text_may_be_bounded_in_bytes():
    assert check_bytes("\U0001f600", "reason", 4) == "\U0001f600"
    for text in ("\U0001f600a", "ä" * 3, "a\0"):
        assert refusal(check_bytes, text, field="reason", max_bytes=4) == (
            "invalid_request",
            "reason",
        )
