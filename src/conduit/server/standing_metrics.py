"""Gauges of single subscriptions, as many as the broker tells of (broker/administer/standings.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from conduit.broker.administer.standings import Standing

# Name, help, what it is of a subscription, and of several that have one name; None: not known, and then there
# is no series.
_GAUGES: tuple[
    tuple[str, str, Callable[[Standing], float | None], Callable[[Iterable[float]], float]],
    ...,
] = (
    ("lag", "Messages that the subscription has not settled.", lambda one: one.lag, sum),
    (
        "oldest_unsettled_age_seconds",
        "Age of the oldest message that the subscription has not settled; 0 if there is none.",
        lambda one: one.oldest_age_s,
        max,
    ),
    ("in_flight", "Deliveries that subscribers have.", lambda one: one.in_flight_count, sum),
    (
        "pending_retries",
        "Deliveries that wait for their next attempt.",
        lambda one: one.pending_retry_count,
        sum,
    ),
    ("dead_letters", "Dead letters that were not redriven.", lambda one: one.dead_count, sum),
)


def families(standings: Sequence[Standing], *, with_tenants: bool) -> Iterator[Metric]:
    """Each gauge, with a series for each subscription; without tenants, one for all that have one name."""
    labels = ["tenant", "subscription"] if with_tenants else ["subscription"]
    for name, about, value_of, joined in _GAUGES:
        family = GaugeMetricFamily(f"conduit_subscription_{name}", about, labels=labels)
        values: dict[tuple[str, ...], list[float]] = {}
        for standing in standings:
            value = value_of(standing)
            if value is not None:
                tenant = (standing.tenant,) if with_tenants else ()
                values.setdefault((*tenant, standing.name), []).append(value)
        for key, found in values.items():
            family.add_metric(key, joined(found))
        yield family
