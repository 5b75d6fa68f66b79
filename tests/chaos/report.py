"""What was found: the report of tests/crash, and which message of which stream each finding is about."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.crash import checker
from tests.crash.checker import SAMPLES_COUNT_MAX, Place


@dataclass
class Report(checker.Report):
    """`about` has, for the first few of each kind, the stream ("": none) and the message (None: none)."""

    about: dict[str, list[tuple[str, Place | None]]] = field(default_factory=dict)

    def breaks(
        self, kind: str, sample: object, stream: str = "", place: Place | None = None
    ) -> None:
        """Count one violation."""
        self.break_promise(kind, sample)
        about = self.about.setdefault(kind, [])
        if len(about) < SAMPLES_COUNT_MAX:
            about.append((stream, place))

    def count(self, name: str) -> None:
        """Count what is no violation."""
        self.counts[name] = self.counts.get(name, 0) + 1


__all__ = ["Place", "Report"]
