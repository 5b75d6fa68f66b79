import msgspec
import pytest

from conduit.protocol.codec import encode_json, published_text
from conduit.protocol.frames import Published
from conduit.protocol.records import (
    Receipt,
    Retention,
    TopicAnswer,
    TopicList,
)

RECEIPT = Receipt("id", "t", 3, "2026-02-23T10:30:00.000Z", 7, "e", True, False)
RECEIPT_FIELDS = (
    b'"message_id":"id","topic":"t","subscribers":3,"published_at":"2026-02-23T10:30:00.000Z",'
    b'"seq":7,"epoch":"e","durable":true,"duplicate":false'
)
TOPIC = TopicAnswer("t", 0, 9, "2026-02-23T10:30:00.000Z", 1, 9, "e", 90, Retention(max_bytes=100))


def test_a_receipt_has_the_fields_of_the_wire_in_their_order():
    assert encode_json(RECEIPT) == b"{%b}" % RECEIPT_FIELDS


@pytest.mark.parametrize("ref", [None, 'a "ref"'])
def test_a_published_frame_is_the_receipt_between_a_type_and_a_ref(ref):
    frame = Published(*msgspec.structs.astuple(RECEIPT), ref)
    end = b"" if ref is None else b',"ref":"a \\"ref\\""'
    assert encode_json(frame) == b'{"type":"published",%b%b}' % (RECEIPT_FIELDS, end)
    assert published_text(RECEIPT, ref) == encode_json(frame)


def test_what_has_no_value_is_null_and_not_left_out():
    assert encode_json(TopicList([TOPIC], None)) == (
        b'{"topics":[{"name":"t","subscriber_count":0,"message_count":9,'
        b'"created_at":"2026-02-23T10:30:00.000Z","first_seq":1,"last_seq":9,"epoch":"e",'
        b'"stored_bytes":90,"retention":{"max_age_s":null,"max_messages":null,"max_bytes":100}}],'
        b'"next":null}'
    )


def test_a_field_of_a_later_version_is_ignored():
    later = encode_json(msgspec.to_builtins(TOPIC) | {"colour": "red"})
    assert msgspec.json.decode(later, type=TopicAnswer) == TOPIC
