"""What is asked before something is done for a tenant, or with a key: may it be, now?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from conduit.core.bucket import Bucket
from conduit.errors import LimitReached, RateLimited
from conduit.limits import NO_LIMITS, TenantLimits

# Who may publish nothing at all is told to come again after this.
RETRY_AFTER_MAX_S = 3_600.0

_KINDS = {
    "topics": "topics",
    "subscriptions": "durable subscriptions",
    "connections": "WebSocket connections",
}


class Count:
    """How many of one kind there are, and how many there may be."""

    __slots__ = ("_coming_count", "_limit", "_whose", "count", "max_count")

    def __init__(self, limit: str, whose: str) -> None:
        self._limit = limit
        self._whose = whose
        # Those that are being made: they count too.
        self._coming_count = 0
        self.count = 0
        self.max_count: int | None = None

    def check(self, more_count: int) -> None:
        """Raise LimitReached if so many more are too many."""
        max_count = self.max_count
        if max_count is not None and self.count + self._coming_count + more_count > max_count:
            raise LimitReached(
                f"{self._whose} has as many {_KINDS[self._limit]} as it may: {max_count}",
                limit=self._limit,
            )

    @contextmanager
    def coming(self, more_count: int) -> Iterator[None]:
        """So many more count meanwhile. Raises LimitReached."""
        self.check(more_count)
        self._coming_count += more_count
        try:
            yield
        finally:
            self._coming_count -= more_count


class Meter:
    """What counts for a tenant and for a key alike: KEY_LIMITS.

    Ask for `is_metered` before a publish; without limits of its rate nothing else is to be done.
    """

    __slots__ = (
        "__weakref__",
        "_publish_bytes",
        "_publishes",
        "connections",
        "is_metered",
        "limits",
        "message_max_bytes",
        "whose",
    )

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.limits = NO_LIMITS
        self.is_metered = False
        """Whether `admit_publish` may refuse."""
        self.message_max_bytes: int | None = None
        """The largest payload of a message; None: there is no bound but that of the server."""
        self.connections = Count("connections", whose)
        self._publishes: Bucket | None = None
        self._publish_bytes: Bucket | None = None

    def set_limits(self, limits: TenantLimits, now: float) -> None:
        """From now on these hold. A rate that stays as it was goes on where it is."""
        self.limits = limits
        self._publishes = _bucket(self._publishes, limits.publishes_per_s, now)
        self._publish_bytes = _bucket(self._publish_bytes, limits.publish_bytes_per_s, now)
        self.is_metered = self._publishes is not None or self._publish_bytes is not None
        self.message_max_bytes = limits.message_bytes
        self.connections.max_count = limits.connections

    def admit_publish(self, count: int, size_bytes: int, now: float) -> None:
        """So many messages are about to be published, with so many bytes of payloads, keys and headers
        together (`size_of` in publish/admission.py). Raises RateLimited; then nothing was taken of either
        rate."""
        publishes = self._publishes
        if publishes is not None and (wait_s := publishes.take(count, now)):
            raise self._too_fast("publishes_per_s", publishes.rate, "messages", wait_s)
        of_bytes = self._publish_bytes
        if of_bytes is not None and (wait_s := of_bytes.take(size_bytes, now)):
            if publishes is not None:
                publishes.put_back(count)
            raise self._too_fast("publish_bytes_per_s", of_bytes.rate, "bytes", wait_s)

    def take_back(self, count: int, size_bytes: int) -> None:
        """What was admitted just now is not published: somebody else refuses it."""
        if self._publishes is not None:
            self._publishes.put_back(count)
        if self._publish_bytes is not None:
            self._publish_bytes.put_back(size_bytes)

    def check_message(self, size_bytes: int, field: str = "payload") -> None:
        """Raise LimitReached `payload_too_large` if a message may not have so large a payload."""
        max_bytes = self.message_max_bytes
        if max_bytes is not None and size_bytes > max_bytes:
            raise LimitReached(
                f"payload has {size_bytes} bytes; a message of {self.whose} may have {max_bytes}",
                code="payload_too_large",
                field=field,
                limit="message_bytes",
            )

    def enter(self) -> None:
        """A WebSocket is opened. Raises LimitReached; else call `leave` once, when it is closed."""
        self.connections.check(1)
        self.connections.count += 1

    def leave(self) -> None:
        """The end of one `enter`."""
        self.connections.count -= 1

    def _too_fast(self, limit: str, rate: int, what: str, wait_s: float) -> RateLimited:
        return RateLimited(
            f"{self.whose} may publish {rate} {what} in a second, and has; nothing was stored",
            limit=limit,
            retry_after_s=min(wait_s, RETRY_AFTER_MAX_S),
        )


def _bucket(before: Bucket | None, rate: int | None, now: float) -> Bucket | None:
    if rate is None:
        return None
    return before if before is not None and before.rate == rate else Bucket(rate, now)
