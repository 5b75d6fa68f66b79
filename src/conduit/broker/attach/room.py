"""What connections have in common, and what they are to the broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from conduit.broker.attach.elsewhere import Elsewhere
from conduit.broker.attach.establishing import Establishing
from conduit.broker.catalog import Catalog
from conduit.broker.deliver.engine import Engine
from conduit.broker.deliver.news import News
from conduit.broker.deliver.owned import Owned
from conduit.broker.deliver.router import Router
from conduit.broker.deliver.starts import Starts
from conduit.broker.deliver.subscriber import Outlet


class Room(NamedTuple):
    """What connections subscribe with."""

    engine: Engine
    catalog: Catalog
    router: Router
    owned: Owned
    news: News
    starts: Starts
    establishing: Establishing
    oldest_uncommitted_ms: Callable[[], int]
    """When the oldest message was published that no cursor has seen yet, or now."""
    max_count: int
    """Subscriptions of one connection."""
    elsewhere: Elsewhere | None = None
    """Where others run; None: nowhere, as without other nodes."""

    def is_own(self, tenant: str, subscription: str) -> bool:
        """Whether a durable subscription is to run here."""
        return self.elsewhere is None or self.elsewhere.owner_of(tenant, subscription) is None


class Peer(Outlet, Protocol):
    """The connection itself: an outlet that can be closed."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""

    def on_growing(self) -> None:
        """`start_bytes` or `gap_bytes` of its subscriptions has grown."""

    def go_on(self) -> None:
        """More of what the client sends may be handled: the look-ups of its acks are over."""


class Answers(Outlet, Protocol):
    """Where answers to verbs go of a client that is at another node."""

    def settled_nothing(self, ref: str) -> None:
        """The answer to an ack up to a number that is in order, and has settled nothing."""
