"""From message ids to numbers: acks name a message by its id, progress counts in numbers."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

# One generation; the index holds at most two. At 40,000 messages a second an id is known for at least
# 1.6 s after its last hand-out; an older ack is looked up in the store.
GENERATION_COUNT = 65_536


class MessageIndex(Generic[T]):
    """The ids of recently delivered messages, in two generations: when the young one is full, the old
    one is forgotten whole. So nothing is paid per message that leaves."""

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[str, tuple[T, int]] = {}
        self._old: dict[str, tuple[T, int]] = {}

    def put(self, message_id: str, topic: T, seq: int) -> None:
        """Remember where the message is."""
        if len(self._young) >= GENERATION_COUNT:
            self._young, self._old = {}, self._young
        self._young[message_id] = (topic, seq)

    def get(self, message_id: str) -> tuple[T, int] | None:
        """Topic and number, or None when the id is unknown or forgotten."""
        return self._young.get(message_id) or self._old.get(message_id)
