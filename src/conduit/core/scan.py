"""Looking for messages one by one: which are meant, and how far one request has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from conduit.core.message import Message

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

    def fits(self, message: Message) -> bool:
        """Whether it is one."""
        if self.key is not None and message.key != self.key:
            return False
        if self.text is not None and self.text.encode() not in message.payload:
            return False
        if not self.headers:
            return True
        if message.headers is None:
            return False
        return self.headers.items() <= _headers(message.headers).items()


class Bounds(msgspec.Struct, frozen=True):
    """What ends a scan: so many found, or so much of them; so many looked at, or so much of them."""

    found_count: int
    found_bytes: int
    seen_count: int
    seen_bytes: int


class Scan:
    """One scan, upwards or downwards. `seq` is where to go on."""

    def __init__(self, wanted: Wanted, bounds: Bounds, seq: int, *, descending: bool) -> None:
        self._wanted = wanted
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
            is_wanted = self._wanted.fits(message)
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


def size_of(message: Message) -> int:
    """Bytes of payload, key and headers."""
    size_bytes = len(message.payload) + len(message.headers or b"")
    if message.key is not None:
        size_bytes += len(message.key.encode(errors="surrogatepass"))
    return size_bytes
