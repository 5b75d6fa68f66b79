"""The nodes that this one knows, as the store said last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from conduit.core.lease import LEASE_S
from conduit.storage.nodes import NodeRecord

State = Literal["up", "draining", "down"]


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node for people, as `GET /api/nodes` has it."""

    id: str
    incarnation: str
    address: str
    version: str
    protocol: int
    number: int
    """How many starts the name had."""
    state: State
    started_at_ms: int
    """By the store's clock."""
    lease_age_s: float | None
    """How long ago it renewed its lease; of one that has left, how long ago that was. It is what this node
    knows: while the store does not answer it, all ages grow, and no state of another node changes. None: it
    had none yet, or needs none."""
    has_left: bool
    """Whether it is down because it has left."""


# Without an answer for so long, the store was away, most likely for the others as well.
SILENCE_S = 2.0
# Then they get so much time to renew their leases: who is first to do so is not alone.
PATIENCE_S = 1.5


class Roster:
    """Who there is. `now` is on one clock that does not go back, in seconds."""

    def __init__(self) -> None:
        self._known: Sequence[NodeRecord] = ()
        self._answered_at = 0.0
        # Until then those that were live before the store was away are live, if they have not left.
        self._patient_until = 0.0
        self.live: Sequence[NodeRecord] = ()
        """Whose leases hold, by name."""

    def update(self, records: Iterable[NodeRecord], now: float) -> list[str]:
        """The store has just answered with these. Returns a sentence for each change of those that live,
        but for the time that is left of a lease; none: no change."""
        before = self.live
        if before and now > self._answered_at + SILENCE_S:
            self._patient_until = now + PATIENCE_S
        self._known = sorted(records, key=lambda record: record.name)
        self._answered_at = now
        awaited = {each.incarnation for each in before} if now < self._patient_until else ()
        self.live = [
            record
            for record in self._known
            if record.is_live or (record.incarnation in awaited and not record.has_left)
        ]
        return list(self._changes(before))

    def next_end_s(self, own_name: str) -> float:
        """How long after the last answer the next lease of another live node ends, unless it is renewed, or
        it is not waited any longer for those that have none; infinite if there is none."""
        patient_s = self._patient_until - self._answered_at
        ends = (
            record.left_s if record.is_live else patient_s
            for record in self.live
            if record.name != own_name
        )
        return min(ends, default=math.inf)

    def _changes(self, before: Iterable[NodeRecord]) -> Iterable[str]:
        former = {record.name: record for record in before}
        left = {record.name for record in self._known if record.has_left}
        for record in self.live:
            sentence = _change(former.pop(record.name, None), record)
            if sentence is not None:
                yield sentence
        for record in former.values():
            if record.name in left:
                yield f"node {record.name} has left"
            else:
                yield f"node {record.name} is down: it has not renewed its lease for {LEASE_S:g} s"

    def views(self, now: float, name: str, *, holds: bool) -> list[NodeView]:
        """Every node that the store knows, by name. The node of that `name` is this one: whether its lease
        holds it knows itself."""
        passed_s = now - self._answered_at
        return [
            _view(record, passed_s, is_live=holds if record.name == name else record.is_live)
            for record in self._known
        ]


def _change(before: NodeRecord | None, record: NodeRecord) -> str | None:
    where = f"at {record.address}, Conduit {record.version}"
    if before is None:
        return f"node {record.name} is {record.state}, {where}"
    if before.incarnation != record.incarnation:
        return f"node {record.name} was started again, {where}"
    if before.state != record.state:
        return f"node {record.name} is {record.state}"
    return None


def _view(record: NodeRecord, passed_s: float, *, is_live: bool) -> NodeView:
    renewed_s = -record.left_s if record.has_left else LEASE_S - record.left_s
    return NodeView(
        id=record.name,
        incarnation=record.incarnation,
        address=record.address,
        version=record.version,
        protocol=record.protocol,
        number=record.number,
        state=record.state if is_live else "down",
        started_at_ms=record.started_at_ms,
        lease_age_s=max(0.0, renewed_s + passed_s),
        has_left=record.has_left,
    )
