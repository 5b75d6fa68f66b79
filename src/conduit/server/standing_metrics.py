"""Single subscriptions as metrics, as many as the broker tells of (broker/administer/standings.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from conduit.broker.administer.standings import Standing
from conduit.server.measures import Table, gauge


class Standings(NamedTuple):
    """Those that are told of, and whether a series has its tenant; without, what tenants have under one name
    is one series."""

    newest: Sequence[Standing]
    with_tenants: bool


def _each(
    value_of: Callable[[Standing], float | None],
    joined: Callable[[Iterable[float]], float] = sum,
) -> Callable[[Standings], Mapping[tuple[str, ...], float]]:
    """The value of each subscription by its labels. None is not known, and then there is no series; `joined`:
    of several that have one name."""

    def values(standings: Standings) -> Mapping[tuple[str, ...], float]:
        found: dict[tuple[str, ...], list[float]] = {}
        for standing in standings.newest:
            value = value_of(standing)
            if value is not None:
                tenant = (standing.tenant,) if standings.with_tenants else ()
                found.setdefault((*tenant, standing.name), []).append(value)
        return {labels: joined(some) for labels, some in found.items()}

    return values


def _unattended(standing: Standing) -> int:
    is_alone = not standing.subscriber_count and not standing.is_paused
    return standing.lag if is_alone else 0


def table(*, with_tenants: bool) -> Table[Standings]:
    """Gauges with a series for each subscription."""
    labels = ("tenant", "subscription") if with_tenants else ("subscription",)
    return Table(
        "Single subscriptions",
        (
            gauge(
                "subscription_lag",
                "Messages that the subscription has not settled.",
                _each(lambda one: one.lag),
                *labels,
            ),
            gauge(
                "subscription_oldest_unsettled_age_seconds",
                "Age of the oldest message that the subscription has not settled, those that were redriven "
                "apart; 0 if there is none.",
                _each(lambda one: one.oldest_age_s, max),
                *labels,
            ),
            gauge(
                "subscription_subscribers",
                "Attached subscribers, at whatever node.",
                _each(lambda one: one.subscriber_count),
                *labels,
            ),
            gauge(
                "subscription_unattended_lag",
                "Messages that the subscription has not settled while nobody is attached to it; 0 while "
                "somebody is, and of one that is paused.",
                _each(_unattended),
                *labels,
            ),
            gauge(
                "subscription_in_flight",
                "Deliveries that subscribers have.",
                _each(lambda one: one.in_flight_count),
                *labels,
            ),
            gauge(
                "subscription_pending_retries",
                "Deliveries that wait for their next attempt.",
                _each(lambda one: one.pending_retry_count),
                *labels,
            ),
            gauge(
                "subscription_dead_letters",
                "Dead letters that were not redriven.",
                _each(lambda one: one.dead_count),
                *labels,
            ),
        ),
        "of the `CONDUIT_METRICS_MAX_SUBSCRIPTIONS` (100) with the largest lag",
    )
