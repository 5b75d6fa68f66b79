"""The other nodes of `links.py`, each with its link or the reason why there is none."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.link import Link

# A node without a link for so long is told of: in the log, in /health, and in what is said of the link.
TOLD_AFTER_S = 3.0
REASON_MAX_CHARS = 500


class LiveNode(Protocol):
    """A node that has a lease."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def incarnation(self) -> str:
        """Of this run: a UUID of version 7."""

    @property
    def address(self) -> str:
        """`host:port` or `[v6]:port`."""


class LinkView(msgspec.Struct, frozen=True):
    """What there is to tell of one node."""

    name: str
    incarnation: str
    address: str
    state: str
    """`up`; `dialing`, if this side tries to; or `awaited`, if the other side has to."""
    for_s: float
    """How long it has been so."""
    round_trip_s: float | None
    queue_bytes: int
    channels: int
    requests: int
    last_error: str | None
    """Why there is no link, or was none when there last was none."""

    @property
    def is_missed(self) -> bool:
        """Whether there has been no link for some seconds: longer than it takes to make one."""
        return self.state != "up" and self.for_s >= TOLD_AFTER_S


class Peer:
    """A live node. `now` is of the hub."""

    __slots__ = (
        "_refusal",
        "address",
        "ended",
        "error",
        "identity",
        "link",
        "since",
        "task",
        "told_at",
    )

    def __init__(self, node: LiveNode, now: float) -> None:
        self.identity = Identity(node.name, node.incarnation)
        self.address = node.address
        self.link: Link | None = None
        self.since = now
        # Of the dialer: what keeps the link up, and what it waits for while that is up.
        self.task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.error: str | None = None
        # Of the other side: why it was refused when it called last, since there is no link.
        self._refusal: str | None = None
        # When the log was last told that there is no link.
        self.told_at: float | None = None

    def up(self, link: Link, now: float) -> None:
        """It is linked."""
        self.error = self._refusal or self.error
        self.link, self.since = link, now
        self.told_at = self._refusal = None
        self.ended.clear()

    def down(self, why: str, now: float) -> None:
        """The link is gone."""
        self.link, self.since = None, now
        self.error = why[:REASON_MAX_CHARS]
        self.ended.set()

    def refused(self, why: str) -> None:
        """Who called as this node was refused; nothing if there is a link, or this side dials."""
        if self.link is None and self.task is None:
            self._refusal = f"it has called, and was refused: {why}"[:REASON_MAX_CHARS]

    def view(self, now: float, own_address: str) -> LinkView:
        """What there is to tell of it. `own_address`: where it has to call this node."""
        link = self.link
        state = "awaited" if self.task is None else "dialing"
        view = LinkView(
            self.identity.name,
            self.identity.incarnation,
            self.address,
            state if link is None else "up",
            now - self.since,
            None if link is None else link.round_trip_s,
            0 if link is None else link.queue_bytes,
            0 if link is None else link.channel_count,
            0 if link is None else link.request_count,
            self._refusal or self.error,
        )
        if view.is_missed and state == "awaited" and self._refusal is None:
            return msgspec.structs.replace(view, last_error=self._silence(own_address))
        return view

    def _silence(self, own_address: str) -> str:
        why = (
            f"it has not called this node at {own_address} (NODE_ADDR): that must be where it reaches this"
            " one, and it needs INTERNAL_SECRET; its log says more"
        )
        return why if self.error is None else f"{why}. The link before has ended: {self.error}"
