import msgspec

from conduit.protocol.subscriber_records import SubscribersAnswer


def test_who_may_not_know_nodes_is_told_how_many_are_attached():
    told = {
        "count": 1,
        "by_node": None,
        "subscribers": [
            {"node": None, "in_flight_count": 2, "max_in_flight": None, "is_reading": True}
        ],
    }
    assert msgspec.to_builtins(msgspec.convert(told, SubscribersAnswer)) == told
