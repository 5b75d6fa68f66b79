import pytest

from conduit.errors import InvalidRequest
from conduit.protocol.batch import BRACES_PER_MESSAGE, _has_many_topics, decode_publish_batch

MESSAGE = b'{"topic":"t","payload":1}'
# Its payload has braces enough for the batch to be counted before it is read.
BRACED = b'{"topic":"t","payload":[%b]}' % b",".join([b"{}"] * 2 * BRACES_PER_MESSAGE)


def batch_of(*messages: bytes, behind: bytes = b"") -> bytes:
    return b'{"messages":[%b]%b}' % (b",".join(messages), behind)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{}", "invalid_request", "messages"),
        (b'{"messages":{}}', "invalid_request", "messages"),
        (b'{"messages":[],"atomic":true}', "unknown_field", "atomic"),
        (b'{"messages":[1]}', "invalid_request", "messages[0]"),
        (
            b'{"messages":[{"topic":"t","payload":1},{"topic":"t"}]}',
            "invalid_request",
            "messages[1].payload",
        ),
        (
            b'{"messages":[{"topic":"t","payload":1,"ref":"r"}]}',
            "unknown_field",
            "messages[0].ref",
        ),
        (b'{"messages":[{"topic":"t","payload":"\xff"}]}', "malformed_json", None),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_a_refused_batch_says_which_message_and_field_is_wrong(body, code, field):
    with pytest.raises(InvalidRequest) as caught:
        decode_publish_batch(body, max_count=10)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_batch_keeps_its_order():
    body = b'{"messages":[{"topic":"a","payload":1},{"topic":"b","payload":2}]}'

    messages = decode_publish_batch(body, max_count=2).messages
    assert [(one.topic, bytes(one.payload)) for one in messages] == [("a", b"1"), ("b", b"2")]


@pytest.mark.parametrize("message", [MESSAGE, BRACED])
def test_a_batch_has_as_many_messages_as_it_may_and_not_one_more(message):
    assert len(decode_publish_batch(batch_of(*[message] * 10), 10).messages) == 10

    with pytest.raises(InvalidRequest, match="1 to 10 elements"):
        decode_publish_batch(batch_of(*[message] * 11), 10)


@pytest.mark.parametrize("name", [b'"topic"', b'"\\u0074opic"', b'"top\\u0069\\u0063"'])
def test_too_many_are_found_before_they_are_read_however_they_spell_their_topics(name):
    many = [BRACED.replace(b'"topic"', name)] * 11
    with pytest.raises(InvalidRequest, match="1 to 10 elements"):
        decode_publish_batch(batch_of(*many, behind=b", what is no JSON at all"), 10)


def test_a_batch_with_few_topics_is_read_without_counting():
    assert not _has_many_topics(batch_of(*[BRACED] * 10), 10)
    assert _has_many_topics(batch_of(*[BRACED] * 11), 10)


def test_messages_whose_payloads_have_topics_are_not_too_many():
    messages = [b'{"topic":"t","payload":{"a":{},"b":{},"c":{},"topic":"u"}}'] * 10
    assert len(decode_publish_batch(batch_of(*messages), 10).messages) == 10


def test_a_batch_without_messages_is_refused():
    with pytest.raises(InvalidRequest, match="1 to 10 elements"):
        decode_publish_batch(batch_of(), 10)


def test_of_too_many_messages_nothing_is_read_behind_the_one_that_is_too_many():
    many = [MESSAGE] * (10 * BRACES_PER_MESSAGE)

    with pytest.raises(InvalidRequest, match="1 to 10 elements"):
        decode_publish_batch(batch_of(*many, behind=b", what is no JSON at all"), 10)


def test_a_fault_in_a_batch_that_was_counted_is_still_told_by_its_place():
    with pytest.raises(InvalidRequest) as caught:
        decode_publish_batch(batch_of(BRACED, BRACED, b'{"topic":"t","payload":1,"ref":"r"}'), 3)
    assert caught.value.field == "messages[2].ref"
