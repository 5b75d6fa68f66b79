"""What every subscription that runs on this node works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from conduit.broker.allowances import Allowances
from conduit.broker.clock import Clock
from conduit.broker.commits import Commits
from conduit.broker.deliver.backlog import Backlog
from conduit.broker.deliver.breakers import Breakers
from conduit.broker.deliver.budget import Budget
from conduit.broker.deliver.deadlines import Deadlines
from conduit.broker.deliver.entry import make_entry
from conduit.broker.deliver.feed import Feeds, Tools
from conduit.broker.deliver.index import MessageIndex
from conduit.broker.deliver.lags import Lags
from conduit.broker.deliver.progress import ProgressWriter
from conduit.broker.deliver.reader import Reader
from conduit.broker.deliver.traced import DeliveryTraces
from conduit.broker.stats import Stats
from conduit.broker.traces import Traces
from conduit.broker.turn import Turn
from conduit.storage.base import Store


@dataclass(frozen=True, slots=True)
class Engine:
    """One per node; its parts know nothing of subscriptions, nor of each other's use."""

    clock: Clock
    stats: Stats
    turn: Turn
    index: MessageIndex
    budget: Budget
    feeds: Feeds
    backlog: Backlog
    reader: Reader
    breakers: Breakers
    progress: ProgressWriter
    deadlines: Deadlines
    lags: Lags
    allowances: Allowances
    traces: DeliveryTraces | None
    """Of deliveries that are traced; None: none are."""
    pending_max_count: int
    """Deliveries of one subscription that may wait for their next attempt before it gets nothing new."""


class Bounds(NamedTuple):
    """Those of the node, see `Engine` and `Budget`; and the traces that it records, if any."""

    pending_max_count: int
    memory_max_bytes: int
    traces: Traces | None = None


def make_engine(
    store: Store,
    clock: Clock,
    stats: Stats,
    commits: Commits,
    allowances: Allowances,
    bounds: Bounds,
) -> Engine:
    """All of it, for one store."""
    turn, index, backlog, lags = Turn(clock.now), MessageIndex(), Backlog(commits), Lags(allowances)
    budget = Budget(turn, stats, bounds.memory_max_bytes)
    traces = None if bounds.traces is None else DeliveryTraces(bounds.traces)
    make = make_entry if traces is None else traces.make_entry
    return Engine(
        clock=clock,
        stats=stats,
        turn=turn,
        index=index,
        budget=budget,
        feeds=Feeds(Tools(clock, stats, turn, index, backlog, budget, make, traces)),
        backlog=backlog,
        reader=Reader(store, budget, stats, make),
        breakers=Breakers(store, clock),
        progress=ProgressWriter(store, clock, stats, lags, traces),
        deadlines=Deadlines(clock, turn, stats.loop_lateness),
        lags=lags,
        allowances=allowances,
        traces=traces,
        pending_max_count=bounds.pending_max_count,
    )
