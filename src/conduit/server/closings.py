"""How often each bound of a connection was reached: a counter for each, and a log line for those that an
operator can set right, at most once a minute with how often it was."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 60.0

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
)
_SENTENCES = {
    "full": "refused because there are as many as CONDUIT_MAX_CONNECTIONS",
    "address": "refused because their address has as many as CONDUIT_MAX_CONNECTIONS_PER_ADDRESS; if it is a "
    "proxy, name it in CONDUIT_TRUSTED_PROXIES",
    "displaced": "closed, idle ones, to make room, because there are as many as CONDUIT_MAX_CONNECTIONS",
    "memory": "closed because connections keep more in memory than CONDUIT_CONNECTION_MEMORY_MAX_BYTES",
}


class Closings:
    """Counts; `report` is for the sweep."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(REASONS, 0)
        # What the log has told, and when it told last.
        self._told = dict.fromkeys(_SENTENCES, 0)
        self._told_at: dict[str, float] = {}

    def count(self, reason: str) -> None:
        """A connection ends, or is refused, for this one of REASONS."""
        self.counts[reason] += 1

    def report(self, now: float) -> None:
        """Log what is new."""
        for reason, sentence in _SENTENCES.items():
            new_count = self.counts[reason] - self._told[reason]
            told_at = self._told_at.get(reason)
            if new_count and (told_at is None or now - told_at >= LOG_INTERVAL_S):
                self._told[reason] = self.counts[reason]
                self._told_at[reason] = now
                logger.warning("%d connections were %s", new_count, sentence)
