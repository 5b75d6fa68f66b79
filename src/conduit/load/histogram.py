"""Latencies as an HdrHistogram, from 1 µs to an hour, with three digits."""

from __future__ import annotations

from collections.abc import Iterable

from hdrh.histogram import HdrHistogram

HIGHEST_US = 3_600_000_000
DIGITS = 3


class Latencies:
    """Durations that were recorded. It goes between processes, and can be merged with others."""

    def __init__(self, encoded: str | None = None) -> None:
        self._histogram = HdrHistogram(1, HIGHEST_US, DIGITS)
        if encoded is not None:
            self._histogram.decode_and_add(encoded.encode())

    def __reduce__(self) -> tuple[type[Latencies], tuple[str]]:
        return Latencies, (self.encoded(),)

    def record(self, ns: int) -> None:
        """One of so many nanoseconds; what is shorter than a microsecond counts as one."""
        self._histogram.record_value(min(max(ns // 1000, 1), HIGHEST_US))

    def add(self, others: Iterable[Latencies]) -> Latencies:
        """Those of others as well; returns itself."""
        for other in others:
            self._histogram.add(other._histogram)
        return self

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._histogram.get_total_count())

    def percentile_ms(self, share: float) -> float:
        """The one that `share` (0–1) of them do not exceed; 0 if there are none."""
        if not self.count:
            return 0.0
        return float(self._histogram.get_value_at_percentile(share * 100)) / 1000

    @property
    def max_ms(self) -> float:
        """The longest; 0 if there are none."""
        return float(self._histogram.get_max_value()) / 1000 if self.count else 0.0

    def encoded(self) -> str:
        """The histogram as text: HdrHistogram's compressed V2 encoding in Base64."""
        return str(self._histogram.encode().decode())
