"""A histogram of ours as one of Prometheus."""

from __future__ import annotations

from prometheus_client.core import HistogramMetricFamily

from conduit.core.histogram import Histogram


def family(name: str, about: str, times: Histogram) -> HistogramMetricFamily:
    """Under this name, with this help."""
    buckets = [
        ("+Inf" if bound is None else str(bound), count) for bound, count in times.cumulative()
    ]
    return HistogramMetricFamily(name, about, buckets, times.sum)
