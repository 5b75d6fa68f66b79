"""What is answered over HTTP about who is attached: as in records.py."""

from __future__ import annotations

import msgspec


class SubscriberAnswer(msgspec.Struct, frozen=True):
    """One that is attached to a durable subscription.

    `node`: the node that it is connected to; null for who may not know nodes. `max_in_flight`: deliveries
    that it may have out; null if what is written is settled by that. `is_reading`: false while its socket
    does not drain, so that it is given nothing.
    """

    node: str | None
    in_flight_count: int
    max_in_flight: int | None
    is_reading: bool


class SubscribersAnswer(msgspec.Struct, frozen=True):
    """Who is attached to a durable subscription: `count` of them, the first 100 one by one.

    `by_node`: how many are connected to each node; null for who may not know nodes.
    """

    count: int
    by_node: dict[str, int] | None
    subscribers: list[SubscriberAnswer]
