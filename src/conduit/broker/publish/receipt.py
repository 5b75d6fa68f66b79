"""What a publisher is told."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from conduit.errors import ConduitError


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a publish. `subscribers` is how many it went to on this node.

    `durable`: it was on disk before it was answered. Its JSON is the answer: names, order and types are
    the wire's.
    """

    message_id: str
    topic: str
    subscribers: int
    published_at: str
    seq: int
    epoch: str
    durable: bool
    duplicate: bool


Answer = Callable[[Receipt | ConduitError], None]
"""Called once, on the loop's thread, at once or after the commit. Must not raise."""
BatchAnswer = Callable[[list[Receipt] | ConduitError], None]
