from contextlib import suppress
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conduit.errors import InvalidRequest
from conduit.names import (
    ANY_SUBSCRIPTION_SCHEMA,
    ID_SCHEMA,
    KEY_SCHEMA,
    NAME_LENGTH_MAX,
    PATTERN_SCHEMA,
    SUBSCRIPTION_SCHEMA,
    TOPIC_SCHEMA,
    check_bytes,
    check_key,
    check_line,
    check_new_subscription,
    check_pattern,
    check_subscription,
    check_tenant,
    check_text,
    check_topic,
    is_id,
    is_pattern,
)
from tests.support.schemas import fits

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


def check_any_subscription(name):
    return name and check_subscription(name)


def check_id(text):
    if not is_id(text):
        raise InvalidRequest("no id")


SCHEMAS = {
    "topic": (TOPIC_SCHEMA, check_topic),
    "pattern": (PATTERN_SCHEMA, check_pattern),
    "subscription": (SUBSCRIPTION_SCHEMA, check_new_subscription),
    "any subscription": (ANY_SUBSCRIPTION_SCHEMA, check_any_subscription),
    "key": (KEY_SCHEMA, partial(check_key, field="key")),
    "id": (ID_SCHEMA, check_id),
}
AN_ID = "0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"
# Most of them are nearly something.
names = st.one_of(
    st.text("aZ0_-.*> \0\n/é\u2028", max_size=12),
    st.integers(NAME_LENGTH_MAX - 1, NAME_LENGTH_MAX + 1).map("a".__mul__),
    st.text("0af-", min_size=35, max_size=37),
)


@pytest.mark.parametrize("kind", SCHEMAS)
@settings(deadline=None)
@given(names)
@example("")
@example("a")
@example(".")
@example("..")
@example("...")
@example("a..b")
@example("a\n")
@example("a*")
@example("a.>")
@example(">.a")
@example("\0")
@example("ａ")
@example(AN_ID)
@example(AN_ID.upper())
@example("\U0001f600" * NAME_LENGTH_MAX)
def test_a_schema_says_what_is_checked(kind, text):
    schema, check = SCHEMAS[kind]
    try:
        check(text)
    except InvalidRequest:
        assert not fits(schema, text)
    else:
        assert fits(schema, text)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_has_an_example_that_fits(kind):
    schema, check = SCHEMAS[kind]
    for example_ in schema["examples"]:
        check(example_)


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


@pytest.mark.parametrize(
    "text", ["a\tb", "a\n", "\r", "\x00", "\x7f", "\x85", "a\u2028b", "\u2029"]
)
def test_what_people_type_in_one_line_has_nothing_that_breaks_it(text):
    assert check_line(" a  b\u00a0c ", "name", 9) == " a  b\u00a0c "
    assert refusal(check_line, text, field="name", max_chars=9) == ("invalid_request", "name")


@pytest.mark.parametrize("name", ["a", "0", "acme", "acme-eu_1", "a" * 63])
def test_a_tenants_name_is_lower_case_letters_digits_and_dashes(name):
    assert check_tenant(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a.b", "a b", "é", "a" * 64, "a\n"])
def test_other_names_of_tenants_are_refused(name):
    with pytest.raises(InvalidRequest) as refused:
        check_tenant(name, "tenant")
    assert (refused.value.code, refused.value.field) == ("invalid_name", "tenant")
