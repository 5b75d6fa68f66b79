"""The three tables of the view: nodes, subscriptions that need a look, the busiest topics. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from conduit.cli.output import duration_text
from conduit.cli.watch.grid import Column, Row, Span

if TYPE_CHECKING:
    from conduit.cli.watch.asking import Seen
    from conduit.client import Node

GOOD, WARN, BAD, DIM = "green", "yellow", "bold red", "dim"
# As `conduit doctor` has it.
LAG_WARNING_S = 0.1

SORTS = ("activity", "backlog", "name")
"""How rows are ordered. Of nodes `backlog` is the lag of their loops."""


class Table(NamedTuple):
    """A table before it is made to fit."""

    title: str
    heads: Sequence[Column]
    rows: Sequence[Row]
    missing: str | None
    """Why there are no rows, if there are none."""


def tables(seen: Seen, sort: str) -> list[Table]:
    """All three."""
    return [_nodes(seen, sort), _subscriptions(seen, sort), _topics(seen, sort)]


def rate(value: float) -> str:
    """Events in a second."""
    return f"{value:,.1f}"


def _text(value: object) -> Span:
    return (str(value), "")


# Nodes --------------------------------------------------------------------------------------------

_NODE_HEADS = (
    Column("NODE", is_figure=False),
    Column("STATE", is_figure=False),
    Column("IN/S"),
    Column("OUT/S"),
    Column("CONNS"),
    Column("SUBS"),
    Column("LOOP LAG"),
    Column("LINKS"),
    Column("RENEWED"),
    Column("VERSION", is_figure=False),
    Column("ADDRESS", is_figure=False),
)


def _nodes(seen: Seen, sort: str) -> Table:
    orders: dict[str, Callable[[Node], Any]] = {
        "activity": lambda node: -(0 if node.rates is None else node.rates.messages_per_sec),
        "backlog": lambda node: -(node.loop_lag_s or 0),
        "name": lambda node: node.id,
    }
    some: list[Node] = seen.nodes or []
    # One that is down comes first, however things are ordered.
    found = sorted(some, key=lambda node: (node.state == "up", orders[sort](node), node.id))
    live_count = sum(node.state != "down" for node in some)
    return Table(
        "NODES",
        _NODE_HEADS,
        [_node(each, live_count) for each in found],
        None if some else _why(seen, "nodes", "admin"),
    )


def _node(node: Node, live_count: int) -> Row:
    state = {"up": GOOD, "draining": WARN}.get(node.state, BAD)
    rates = node.rates
    lag_s = node.loop_lag_s
    links = [link.state for link in node.links or ()]
    up_count = links.count("up")
    is_linked = not links or up_count >= live_count - 1
    return [
        (node.id + ("*" if node.is_this else ""), ""),
        (node.state if node.unanswered is None or node.state == "down" else "silent", state),
        _text("-" if rates is None else rate(rates.messages_per_sec)),
        _text("-" if rates is None else rate(rates.deliveries_per_sec)),
        _text("-" if node.connections is None else f"{node.connections:,}"),
        _text("-" if node.owned_subscriptions is None else f"{node.owned_subscriptions:,}"),
        ("-", "")
        if lag_s is None
        else (f"{lag_s * 1000:.1f} ms", WARN if lag_s >= LAG_WARNING_S else ""),
        ("-", "") if not links else (f"{up_count}/{len(links)}", "" if is_linked else WARN),
        _text("-" if node.lease_age_s is None else _age(node.lease_age_s)),
        _text(node.version),
        _text(node.address),
    ]


def _age(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else duration_text(seconds // 60 * 60)


# Subscriptions ------------------------------------------------------------------------------------

_SUBSCRIPTION_HEADS = (
    Column("SUBSCRIPTION", is_figure=False),
    Column("TROUBLE", is_figure=False),
    Column("BACKLOG"),
    Column("GROWN BY"),
    Column("ATTACHED"),
    Column("RETRIES"),
    Column("TENANT", is_figure=False),
)
_TROUBLES = {
    "full": ("full of retries", BAD),
    "slow": ("too slow", WARN),
    "absent": ("nobody there", WARN),
    "paused": ("paused", DIM),
}


def _subscriptions(seen: Seen, sort: str) -> Table:
    orders: dict[str, Callable[[dict[str, Any]], Any]] = {
        # As the server has them: the worst first.
        "activity": lambda _one: 0,
        "backlog": lambda one: -one["lag"],
        "name": lambda one: one["name"],
    }
    some = (seen.attention or {}).get("subscriptions", [])
    missing = None
    if not some:
        missing = (
            _why(seen, "attention", "manage for all topics")
            if seen.attention is None
            else "none lags that is paused, too slow, or has nobody attached"
        )
    return Table(
        "SUBSCRIPTIONS THAT NEED A LOOK",
        _SUBSCRIPTION_HEADS,
        [_subscription(each) for each in sorted(some, key=orders[sort])],
        missing,
    )


def _subscription(one: dict[str, Any]) -> Row:
    grown = one.get("grown_count")
    return [
        _text(one["name"]),
        _TROUBLES.get(one["trouble"], (one["trouble"], WARN)),
        _text(f"{one['lag']:,}"),
        _text("-" if grown is None else f"{grown:+,}"),
        _text(f"{one['subscriber_count']:,}"),
        _text(f"{one['pending_retry_count']:,}"),
        _text(one["tenant"]),
    ]


# Topics -------------------------------------------------------------------------------------------

_TOPIC_HEADS = (
    Column("TOPIC", is_figure=False),
    Column("IN/S"),
    Column("OUT/S"),
    Column("BACKLOG"),
    Column("TENANT", is_figure=False),
)


def _topics(seen: Seen, sort: str) -> Table:
    orders: dict[str, Callable[[dict[str, Any]], Any]] = {
        "activity": lambda one: -(one["messages_per_sec"] + one["deliveries_per_sec"]),
        "backlog": lambda one: -one["backlog"],
        "name": lambda one: one["name"],
    }
    some = (seen.topics or {}).get("topics", [])
    missing = None
    if not some:
        missing = (
            _why(seen, "topics", "manage or subscribe")
            if seen.topics is None
            else "nothing was published or delivered in the last minute"
        )
    return Table(
        "BUSIEST TOPICS (last minute)",
        _TOPIC_HEADS,
        [_topic(each) for each in sorted(some, key=orders[sort])],
        missing,
    )


def _topic(one: dict[str, Any]) -> Row:
    more = "+" if one.get("more_backlog") else ""
    return [
        _text(one["name"]),
        _text(rate(one["messages_per_sec"])),
        _text(rate(one["deliveries_per_sec"])),
        _text(f"{one['backlog']:,}{more}"),
        _text(one["tenant"]),
    ]


def _why(seen: Seen, name: str, scope: str) -> str:
    """Why there is nothing of a table."""
    if name not in seen.refused:
        return "waiting for an answer"
    return f"not looked at: needs {scope}" if seen.away_since is None else "no answer"
