"""How often each bound of a connection was reached: a counter for each, and a log line for those that an
operator can set right, at most once a minute with how often it was, and from where."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from conduit.server import kernel

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 60.0
# Addresses that one line names.
NAMED_MAX_COUNT = 5

# What a connection was closed or refused for; the labels of a metric.
REASONS = (
    "full",  # CONDUIT_MAX_CONNECTIONS
    "address",  # CONDUIT_MAX_CONNECTIONS_PER_ADDRESS
    "displaced",  # by a newcomer, because of CONDUIT_MAX_CONNECTIONS
    "silent",  # CONDUIT_SILENT_TIMEOUT_S
    "head",  # CONDUIT_HEADER_TIMEOUT_S
    "body",  # CONDUIT_BODY_TIMEOUT_S
    "message",  # the same, of a WebSocket message
    "unread",  # CONDUIT_UNREAD_TIMEOUT_S
    "memory",  # CONDUIT_CONNECTION_MEMORY_MAX_BYTES, CONDUIT_MAX_BYTES_PER_CONNECTION
    "auth",  # CONDUIT_AUTH_TIMEOUT_S
    "unsigned",  # CONDUIT_MAX_UNAUTHENTICATED
    "bad_frames",  # too many frames that cannot be used
    "link",  # no proof at /internal/link that it is a node
)
_SENTENCES = {
    "full": "refused because there are as many as CONDUIT_MAX_CONNECTIONS",
    "address": "refused because an address has as many as CONDUIT_MAX_CONNECTIONS_PER_ADDRESS; if it is a "
    "proxy, name it in CONDUIT_TRUSTED_PROXIES",
    "displaced": "closed while idle, to make room, because there are as many as CONDUIT_MAX_CONNECTIONS",
    "memory": "closed because all together keep more in memory than CONDUIT_CONNECTION_MEMORY_MAX_BYTES, or "
    "one more than CONDUIT_MAX_BYTES_PER_CONNECTION",
    "bad_frames": "closed with 4529 because too many of their frames could not be used; mend the client",
    "link": "closed at /internal/link because they did not prove that they are nodes of this cluster; if "
    "they are, their INTERNAL_SECRET is another one than here",
}


class Closings:
    """Counts; `report` is for the sweep."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(REASONS, 0)
        # What the log has told, and when it told last.
        self._told = dict.fromkeys(_SENTENCES, 0)
        self._told_at: dict[str, float] = {}
        # From which addresses those come that were not told yet.
        self._hosts: dict[str, Counter[str]] = {reason: Counter() for reason in _SENTENCES}

    def count(self, reason: str, transport: asyncio.BaseTransport | None) -> None:
        """A connection ends, or is refused, for this one of REASONS."""
        self.counts[reason] += 1
        hosts = self._hosts.get(reason)
        if hosts is None or transport is None:
            return
        peer = kernel.peer_of(transport)
        if peer is not None and (peer[0] in hosts or len(hosts) < NAMED_MAX_COUNT):
            hosts[peer[0]] += 1

    def report(self, now: float) -> None:
        """Log what is new."""
        for reason, sentence in _SENTENCES.items():
            new_count = self.counts[reason] - self._told[reason]
            told_at = self._told_at.get(reason)
            if new_count and (told_at is None or now - told_at >= LOG_INTERVAL_S):
                self._told[reason] = self.counts[reason]
                self._told_at[reason] = now
                who = "connection was" if new_count == 1 else "connections were"
                named = self._named(reason, new_count)
                logger.warning("%d %s %s%s", new_count, who, sentence, named)

    def _named(self, reason: str, count: int) -> str:
        hosts = self._hosts[reason]
        if not hosts:
            return ""
        names = ", ".join(f"{host} ({times})" for host, times in hosts.most_common())
        more = count - hosts.total()
        hosts.clear()
        return f"; from {names}{f' and {more} from elsewhere' if more > 0 else ''}"
