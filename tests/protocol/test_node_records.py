import msgspec

from conduit.protocol.node_records import NodeAnswer

BEFORE = {
    "id": "a",
    "incarnation": "i",
    "address": "a:1",
    "version": "0.1.0",
    "state": "up",
    "lease_age_s": None,
    "started_at": "2026-11-29T19:04:36.469Z",
    "is_this": False,
    "connections": None,
    "owned_subscriptions": None,
    "rates": None,
    "links": None,
}


def test_a_node_that_gives_no_reason_is_read_as_well():
    assert msgspec.convert(BEFORE, NodeAnswer).unanswered is None


def test_that_there_is_no_reason_is_said():
    assert msgspec.to_builtins(msgspec.convert(BEFORE, NodeAnswer)) == BEFORE | {
        "unanswered": None,
        "loop_lag_s": None,
        "phase": None,
    }
