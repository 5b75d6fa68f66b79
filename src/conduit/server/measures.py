"""What a metric is called, what it tells and where its value comes from: written down once, for scrapes and
for `docs/metrics.md`, which is made from it.

A table of measures has one source, such as the broker. Nothing is counted here: a scrape reads what others
count anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from conduit.core.histogram import Histogram

PREFIX = "conduit_"
S = TypeVar("S")
Kind = Literal["counter", "gauge", "histogram", "summary", "info"]
# With one label the key is its value, with several those of all.
Value = float | Mapping[str, float] | Mapping[tuple[str, ...], float] | None
# By the last word of a name. Anything else is a number of what the help names.
_UNITS = {"seconds": "seconds", "bytes": "bytes"}


class Measure(NamedTuple, Generic[S]):
    """One metric. `name` is without the prefix and without what its kind adds."""

    kind: Kind
    name: str
    about: str
    """The help text; Prometheus shows each alone."""
    value_of: Callable[[S], Any]
    """Of the source: a number, or None if there is none now; label value → number if there is a `label`; of a
    histogram one of ours, of a summary count and sum, of an info its labels."""
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        if self.kind == "info":
            return f"{self.name}_info"
        suffix = "_total" if self.kind == "counter" else ""
        return f"{PREFIX}{self.name}{suffix}"

    @property
    def unit(self) -> str:
        """Base units only; of what has 1 or 0 that, and of anything else that it is a number."""
        if self.about.startswith(("1 while", "1 from")):
            return "1 or 0"
        return _UNITS.get(self.name.rpartition("_")[2], "number")

    def family(self, source: S) -> Metric | None:
        """With its value now; None: it has none."""
        value = self.value_of(source)
        return None if value is None else _MADE[self.kind](self, value)


class Table(NamedTuple, Generic[S]):
    """Measures that belong together. `where` says which servers have them; empty: all."""

    title: str
    measures: Sequence[Measure[S]]
    where: str = ""

    def families(self, source: S) -> Iterator[Metric]:
        """Each that has a value now."""
        for measure in self.measures:
            if (family := measure.family(source)) is not None:
                yield family


def counter(name: str, about: str, value_of: Callable[[S], Value], *labels: str) -> Measure[S]:
    """What only grows, from 0 at the start of the process."""
    return Measure("counter", name, about, value_of, labels)


def gauge(name: str, about: str, value_of: Callable[[S], Value], *labels: str) -> Measure[S]:
    """What there is now."""
    return Measure("gauge", name, about, value_of, labels)


def histogram(name: str, about: str, value_of: Callable[[S], Histogram]) -> Measure[S]:
    """How often something took how long."""
    return Measure("histogram", name, about, value_of)


def _counter(measure: Measure[Any], value: Value) -> Metric:
    name = PREFIX + measure.name
    return _filled(CounterMetricFamily(name, measure.about, labels=measure.labels), value)


def _gauge(measure: Measure[Any], value: Value) -> Metric:
    name = PREFIX + measure.name
    return _filled(GaugeMetricFamily(name, measure.about, labels=measure.labels), value)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, value: Value) -> Metric:
    values = value.items() if isinstance(value, Mapping) else [((), value)]
    for key, number in values:
        if number is not None:
            family.add_metric([key] if isinstance(key, str) else key, number)
    return family


def _histogram(measure: Measure[Any], times: Histogram) -> Metric:
    buckets = [
        ("+Inf" if bound is None else str(bound), count) for bound, count in times.cumulative()
    ]
    return HistogramMetricFamily(PREFIX + measure.name, measure.about, buckets, times.sum)


def _summary(measure: Measure[Any], value: tuple[int, float]) -> Metric:
    return SummaryMetricFamily(PREFIX + measure.name, measure.about, *value)


def _info(measure: Measure[Any], value: dict[str, str]) -> Metric:
    return InfoMetricFamily(measure.name, measure.about, value)


_MADE: dict[Kind, Callable[[Measure[Any], Any], Metric]] = {
    "counter": _counter,
    "gauge": _gauge,
    "histogram": _histogram,
    "summary": _summary,
    "info": _info,
}
