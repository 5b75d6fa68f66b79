import msgspec

from conduit.protocol.codec import encode_json
from conduit.protocol.draining import NodeDrain

DRAIN = NodeDrain("a", "draining", "alone", 3, 1, "no other node is up")


def test_it_is_the_same_for_clients_and_between_nodes():
    assert encode_json(DRAIN) == (
        b'{"id":"a","state":"draining","phase":"alone","connections":3,"owned_subscriptions":1,'
        b'"problem":"no other node is up"}'
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DRAIN), type=NodeDrain) == DRAIN
    # A node of a later version may say more.
    more = msgspec.to_builtins(DRAIN) | {"more": 1}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(more), type=NodeDrain) == DRAIN
