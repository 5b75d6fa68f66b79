"""Tokens that were found good, so that a signature is not checked again: by hash, never by the token."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Generic, TypeVar

T = TypeVar("T")

REMEMBERED_MAX_COUNT = 10_000
# Of the tokens' lengths; what is kept of each takes some times as much.
REMEMBERED_MAX_BYTES = 4 << 20


class Remembered(Generic[T]):
    """What is known of each; beyond the bounds those that were not asked for longest are forgotten."""

    def __init__(
        self, max_count: int = REMEMBERED_MAX_COUNT, max_bytes: int = REMEMBERED_MAX_BYTES
    ) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[bytes, tuple[T, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, token: str) -> T | None:
        """What was put for it."""
        digest = _digest(token)
        known = self._known.get(digest)
        if known is None:
            return None
        self._known.move_to_end(digest)
        return known[0]

    def put(self, token: str, value: T) -> None:
        """Remember one that was found good."""
        self.forget(token)
        self._known[_digest(token)] = value, len(token)
        self._bytes += len(token)
        while len(self._known) > self._max_count or self._bytes > self._max_bytes:
            _, (_, size) = self._known.popitem(last=False)
            self._bytes -= size

    def forget(self, token: str) -> None:
        """One that does not count any more."""
        _, size = self._known.pop(_digest(token), (None, 0))
        self._bytes -= size

    def clear(self) -> None:
        """All: the keys that signed them are others now."""
        self._known.clear()
        self._bytes = 0


def _digest(token: str) -> bytes:
    # A token may be any text: half a character of one has no other bytes.
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
