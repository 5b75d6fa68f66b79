"""Which messages a client was given that came from another node: so an ack that names no subscription finds
its way."""

from __future__ import annotations

# So many windows are remembered: what was handed to others since is in none of them, and is not forgotten at
# once.
WINDOWS_COUNT = 4
# How the text of a delivery begins (deliver/entry.py).
_HEAD = b'{"type":"message","message_id":"'
_ID_CHARS = 36


class Passed:
    """The ids of what was passed on and is not settled; the oldest are forgotten."""

    __slots__ = ("_ids", "_max_count")

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._max_count = 0

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def bound(self, window: int) -> None:
        """The client may have so many out; 0: it need not settle anything."""
        self._max_count = WINDOWS_COUNT * window

    def add(self, data: bytes) -> None:
        """Whole WebSocket frames, as `protocol/codec.py` makes them."""
        ids, at = self._ids, 0
        while self._max_count and at < len(data):
            length, head = data[at + 1], at + 2
            if length == 126:
                length, head = int.from_bytes(data[head : head + 2], "big"), head + 2
            elif length == 127:
                length, head = int.from_bytes(data[head : head + 8], "big"), head + 8
            if data.startswith(_HEAD, head):
                begin = head + len(_HEAD)
                ids[data[begin : begin + _ID_CHARS].decode()] = None
            at = head + length
        while len(ids) > self._max_count:
            del ids[next(iter(ids))]

    def discard(self, message_id: str) -> None:
        """It is settled."""
        self._ids.pop(message_id, None)
