import msgspec
import pytest

from conduit.core.message import Message, NewMessage, Retention, SubscriptionSettings


def test_a_message_cannot_be_changed_because_its_frame_is_shared():
    message = Message("id", 1, 0, b"{}")

    with pytest.raises(AttributeError):
        message.seq = 2


def test_a_new_message_has_all_of_a_stored_one_but_its_number():
    stored = set(Message.__struct_fields__)

    assert stored - set(NewMessage.__struct_fields__) == {"seq"}
    assert set(NewMessage.__struct_fields__) - stored == {
        "topic_id",
        "idempotency_key",
        "payload_hash",
    }


def test_a_subscription_that_says_nothing_has_the_documented_settings():
    assert msgspec.structs.asdict(SubscriptionSettings()) == {
        "ack": "explicit",
        "order": "publish",
        "max_in_flight": 256,
        "ack_wait_ms": 1_000,
        "max_ack_wait_ms": 60_000,
        "max_attempts": 5,
        "max_lost": 20,
    }


def test_settings_that_were_stored_before_losses_were_counted_have_the_default_bound():
    stored = b'{"ack":"explicit","order":"publish","max_attempts":7}'

    assert msgspec.json.decode(stored, type=SubscriptionSettings).max_lost == 20


def test_no_bound_on_losses_is_stored_as_such():
    settings = SubscriptionSettings(max_lost=None)

    assert msgspec.json.decode(msgspec.json.encode(settings), type=type(settings)) == settings


def test_retention_that_says_nothing_keeps_everything():
    assert set(msgspec.structs.astuple(Retention())) == {None}
