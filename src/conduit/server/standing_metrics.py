"""Gauges of single subscriptions, as many as the broker tells of (broker/administer/standings.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from conduit.broker.administer.standings import Standing

# Name, help, and what it is of a subscription; None: not known, and then there is no series.
_GAUGES: tuple[tuple[str, str, Callable[[Standing], float | None]], ...] = (
    ("lag", "Messages that the subscription has not settled.", lambda one: one.lag),
    (
        "oldest_unsettled_age_seconds",
        "Age of the oldest message that the subscription has not settled; 0 if there is none.",
        lambda one: one.oldest_age_s,
    ),
    ("in_flight", "Deliveries that subscribers have.", lambda one: one.in_flight_count),
    (
        "pending_retries",
        "Deliveries that wait for their next attempt.",
        lambda one: one.pending_retry_count,
    ),
    ("dead_letters", "Dead letters that were not redriven.", lambda one: one.dead_count),
)


def families(standings: Sequence[Standing]) -> Iterator[Metric]:
    """Each gauge, with a series for each subscription."""
    for name, about, value_of in _GAUGES:
        family = GaugeMetricFamily(
            f"conduit_subscription_{name}", about, labels=["tenant", "subscription"]
        )
        for standing in standings:
            value = value_of(standing)
            if value is not None:
                family.add_metric([standing.tenant, standing.name], value)
        yield family
