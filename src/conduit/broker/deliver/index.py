"""From message ids to numbers: acks name a message by its id, progress counts in numbers."""

from __future__ import annotations

from collections import deque

# At 40,000 messages a second an id is known for at least 3 s after its last hand-out; an older ack is
# looked up in the store. Small generations are forgotten, and grow, without a pause.
GENERATION_COUNT = 8_192
GENERATIONS_COUNT = 16
# Topic id and number in one integer: a tuple for each id is what Python's garbage collector would
# visit, in pauses of 50 ms.
_SEQ_BITS = 48
_SEQ_MASK = (1 << _SEQ_BITS) - 1


class MessageIndex:
    """The ids of recently delivered messages, in generations: when the youngest is full, the oldest is
    forgotten whole. So nothing is paid per message that leaves."""

    __slots__ = ("_generations", "_young")

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        # The youngest first.
        self._generations = deque([self._young], maxlen=GENERATIONS_COUNT)

    def put(self, message_id: str, topic_id: int, seq: int) -> None:
        """Remember where the message is."""
        if len(self._young) >= GENERATION_COUNT:
            self._young = {}
            self._generations.appendleft(self._young)
        self._young[message_id] = topic_id << _SEQ_BITS | seq

    def get(self, message_id: str) -> tuple[int, int] | None:
        """Topic id and number, or None when the id is unknown or forgotten."""
        for generation in self._generations:
            place = generation.get(message_id)
            if place is not None:
                return place >> _SEQ_BITS, place & _SEQ_MASK
        return None
