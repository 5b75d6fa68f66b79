"""Looking for messages one by one: which are meant, and how far one request has come.

What this takes grows with what is looked at, and with nothing else: a MiB of payloads takes 2 ms, and one of
headers 4 ms, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import AnyStr

import msgspec

from conduit.core.message import Message

# Texts that are ready to be looked for; those that search come in turn.
FINDERS_MAX_COUNT = 64

_headers = msgspec.json.Decoder(dict[str, str]).decode


class Wanted(msgspec.Struct, frozen=True):
    """Which messages are meant; all that is said must be so. Case matters."""

    key: str | None = None
    """The whole key."""
    headers: Mapping[str, str] = {}
    """These, each with this value."""
    text: str | None = None
    """A part of the payload, as it was published."""

    @property
    def is_search(self) -> bool:
        """Whether any message may be one that is not meant."""
        return self.key is not None or self.text is not None or bool(self.headers)

    def matcher(self) -> Callable[[Message], bool]:
        """Says of a message whether it is one; to be made once for many."""
        key, headers = self.key, self.headers.items()
        finds = None if self.text is None else finder(self.text.encode())

        def fits(message: Message) -> bool:
            if key is not None and message.key != key:
                return False
            if finds is not None and not finds(message.payload):
                return False
            if not headers:
                return True
            return message.headers is not None and headers <= _headers(message.headers).items()

        return fits


class Bounds(msgspec.Struct, frozen=True):
    """What ends a scan: so many found, or so much of them; so many looked at, or so much of them."""

    found_count: int
    found_bytes: int
    seen_count: int
    seen_bytes: int


class Scan:
    """One scan, upwards or downwards. `seq` is where to go on."""

    def __init__(self, wanted: Wanted, bounds: Bounds, seq: int, *, descending: bool) -> None:
        self._fits = wanted.matcher()
        self._bounds = bounds
        self._step = -1 if descending else 1
        self._seen_count = self._seen_bytes = self._found_bytes = 0
        self.found: list[Message] = []
        self.seq = seq
        self.is_over = False
        """Whether a bound is reached."""

    @property
    def scanned_to(self) -> int:
        """The last number that was looked at, or the one before the first."""
        return self.seq - self._step

    def take(self, messages: Sequence[Message]) -> None:
        """Look at the messages that come next, as far as the bounds go: at one at least in each scan."""
        for message in messages:
            size = size_of(message)
            is_wanted = self._fits(message)
            if is_wanted and self.found and self._found_bytes + size > self._bounds.found_bytes:
                self.is_over = True
                return
            self.seq = message.seq + self._step
            self._seen_count += 1
            self._seen_bytes += size
            if is_wanted:
                self.found.append(message)
                self._found_bytes += size
            self.is_over = self._is_full()
            if self.is_over:
                return

    def _is_full(self) -> bool:
        bounds = self._bounds
        return (
            len(self.found) >= bounds.found_count
            or self._seen_count >= bounds.seen_count
            or self._seen_bytes >= bounds.seen_bytes
        )


def parts(messages: Sequence[Message], max_bytes: int) -> Iterator[Sequence[Message]]:
    """All of them in order, in parts of so many bytes, or of one message that has more."""
    first, size_bytes = 0, 0
    for at, message in enumerate(messages):
        size = size_of(message)
        if at > first and size_bytes + size > max_bytes:
            yield messages[first:at]
            first, size_bytes = at, 0
        size_bytes += size
    if messages:
        yield messages[first:]


@lru_cache(FINDERS_MAX_COUNT)
def finder(text: AnyStr) -> Callable[[AnyStr], object]:
    """Looks for this text in another one, as `in` does, and says what is true or not."""
    # `in` may compare the whole text at every place: 75 ms for a MiB of payloads that are made for it. The
    # search for a pattern of nothing but text never goes back.
    return re.compile(re.escape(text)).search


def size_of(message: Message) -> int:
    """Bytes of payload, key and headers."""
    size_bytes = len(message.payload) + len(message.headers or b"")
    if message.key is not None:
        size_bytes += len(message.key.encode(errors="surrogatepass"))
    return size_bytes
