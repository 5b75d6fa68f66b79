"""What the registry has done, for metrics, and how it stands, for /health."""

from __future__ import annotations

import msgspec

from conduit.core.histogram import SHORT_S, Histogram


class Counts(msgspec.Struct):
    """Since the start."""

    connects: int = 0
    """Connections made, with all that follows."""
    failures: int = 0
    """How often one failed, or could not be made."""
    beats: int = 0
    changes: int = 0
    """Changes of what this node wants that were written."""
    rewrites: int = 0
    """How often all of it was written anew."""
    heard: int = 0
    """Announcements of other nodes."""
    malformed: int = 0
    """What stood there and is nothing of ours."""
    reads: int = 0
    """States of other nodes that were read whole."""
    answered_at: float | None = None
    """When Redis has answered last, on the loop's clock; None: never."""
    latency: Histogram = msgspec.field(default_factory=lambda: Histogram(SHORT_S))
    """Of calls, in seconds, those that failed as well."""


class RegistryState(msgspec.Struct, frozen=True):
    """How it is with Redis."""

    is_up: bool
    trouble: str | None = None
    """A word for what is wrong; None while nothing is, and before the first try has ended."""
    detail: str = "not tried yet"
    """The same as a sentence without a secret."""
