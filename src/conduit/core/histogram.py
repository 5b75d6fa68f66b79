"""How often something took how long: counts by upper bounds, as Prometheus wants them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

# In seconds: what an answer waits for …
SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# … and what may take a consumer long, or be in the log for long.
LONG_S = (*SHORT_S, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0)


class Histogram:
    """Values by the least bound that is not below them. `sum` is of all values."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        # The last is of those above all bounds.
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, count: int = 1) -> None:
        """So many had this value. One below 0, which only a clock that was set can cause, counts as 0."""
        if value < 0.0:
            value = 0.0
        self._counts[bisect_left(self._bounds, value)] += count
        self.sum += value * count

    def add_falling(self, values: Sequence[float], count: int = 1) -> None:
        """So many had each of these values, of which none is above the one before it. Nearly all that come
        together lie between two bounds, and cost no more then than their sum."""
        if values[-1] < 0.0:
            values = [max(0.0, value) for value in values]
        bounds, counts = self._bounds, self._counts
        at = bisect_left(bounds, values[0])
        if at == bisect_left(bounds, values[-1]):
            counts[at] += count * len(values)
        else:
            for value in values:
                counts[bisect_left(bounds, value)] += count
        self.sum += sum(values) * count

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    @property
    def counts(self) -> Sequence[int]:
        """How many there were between each bound and the one before it; last, those above all bounds. Of two
        times, and of several nodes, these can be subtracted and added."""
        return self._counts

    def cumulative(self) -> Iterator[tuple[float | None, int]]:
        """Each bound with how many were not above it; last, with None, all."""
        total = 0
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            total += count
            yield bound, total


def quantile(bounds: Sequence[float], counts: Sequence[int], part: float) -> float | None:
    """The value that `part` of all are not above, from counts as in `Histogram.counts`; None if there are
    none. It is taken to be between two bounds as far as its number is between theirs, as Prometheus does: so
    it is off by less than what is between these. What is above all bounds counts as the last of them."""
    total = sum(counts)
    if not total:
        return None
    wanted, below = part * total, 0
    for index, count in enumerate(counts[: len(bounds)]):
        if count and below + count >= wanted:
            lower = bounds[index - 1] if index else 0.0
            return lower + (bounds[index] - lower) * max(0.0, wanted - below) / count
        below += count
    return bounds[-1]
