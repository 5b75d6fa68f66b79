"""What a node has counted on all its links since its start, for metrics."""

from __future__ import annotations

from conduit.core.histogram import SHORT_S, Histogram

# Between two machines of one network it is below a millisecond.
ROUND_TRIP_S = (0.0001, 0.00025, 0.0005, *SHORT_S)


class LinkCounts:
    """Numbers that only grow."""

    __slots__ = (
        "frames_received",
        "hints_dropped",
        "hints_received",
        "hints_sent",
        "links_lost",
        "links_made",
        "received_bytes",
        "refused",
        "requests_late",
        "requests_sent",
        "round_trip",
        "sent_bytes",
    )

    def __init__(self) -> None:
        self.links_made = 0
        self.links_lost = 0
        self.refused = 0
        """Attempts, of either side, that came to no link."""
        self.hints_sent = 0
        """One hint to three nodes is three."""
        self.hints_dropped = 0
        """Because there was no link, or too much was in its line."""
        self.hints_received = 0
        self.frames_received = 0
        """Of all kinds."""
        self.sent_bytes = 0
        """What was given to sockets, and came from them, as messages."""
        self.received_bytes = 0
        self.requests_sent = 0
        self.requests_late = 0
        """That were not answered in time."""
        self.round_trip = Histogram(ROUND_TRIP_S)
        """Of pings, in seconds."""
