"""How this node is among others, in words: for `/health`. Nothing of it makes the node unready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, UnsetType

from conduit.cluster.links.peers import LinkView
from conduit.server.context import Context

if TYPE_CHECKING:
    from conduit.cluster.registry.registry import Registry

_SHARED = (
    "All nodes have one log: what a node is not told of it finds there, within a second or two."
)
_OWN = (
    "Each node has a log of its own, in memory: what is published at another one comes while there is a link "
    "to it and somebody here wants it, and is not made up for later."
)
_NO_SECRET = (
    "There are no links, because INTERNAL_SECRET is not set: a durable subscription runs at the node at "
    "which somebody has attached to it last."
)
# Nodes that are named; of more it is said how many there are.
NAMED_MAX_COUNT = 5


class RegistryHealth(msgspec.Struct, frozen=True):
    """Redis, as this node has it. `degraded`: it is not used, and `detail` says why, and what that means."""

    status: Literal["ok", "degraded"]
    detail: str
    trouble: str | None
    """A word for what is wrong."""
    answer_age_s: float | None
    """How long ago it has answered last; null: never yet."""


class ClusterHealth(msgspec.Struct, frozen=True):
    """`log` is `shared` by all nodes, or each has its `own`. `recovery`: whether what a node is not told
    comes to it later all the same. `detail` says what that means; in front of it, to which nodes there has
    been no link for some seconds, and why. `nodes` are those that are up, this one included, and `links`
    those to others."""

    log: Literal["shared", "own"]
    recovery: bool
    detail: str
    nodes: int
    links: int
    registry: RegistryHealth | UnsetType = UNSET


def cluster_health(context: Context) -> ClusterHealth | UnsetType:
    """Of a server that may be one of several nodes; others have none."""
    if context.hearing is None:
        return UNSET
    is_shared = context.meeting is None
    links = () if context.links is None else context.links.views()
    registry = context.registry
    node_count = sum(view.state != "down" for view in context.node.views())
    missed = "" if context.links is None else _missed(links, context.links.without)
    if node_count > 1 and not context.gate.internal_secrets:
        missed = f"{_NO_SECRET} "
    return ClusterHealth(
        "shared" if is_shared else "own",
        is_shared,
        missed + (_SHARED if is_shared else _OWN),
        node_count,
        sum(view.state == "up" for view in links),
        UNSET if registry is None else _of(registry),
    )


def _missed(links: Sequence[LinkView], without: str) -> str:
    """To whom there is no link, why, and what that means; nothing if there are all."""
    missed = [view for view in links if view.is_missed]
    if not missed:
        return ""
    told = "; ".join(
        f"{view.name} for {view.for_s:.0f} s: {view.last_error or 'no attempt has ended yet'}"
        for view in missed[:NAMED_MAX_COUNT]
    )
    more = len(missed) - NAMED_MAX_COUNT
    rest = f"; and to {more} more" if more > 0 else ""
    return f"There is no link to {told}{rest}. Until there is, {without}. "


def _of(registry: Registry) -> RegistryHealth:
    state, age_s = registry.state, registry.answer_age_s
    rounded_s = None if age_s is None else round(age_s, 3)
    if not state.is_up:
        detail = f"Redis is not used: {state.detail}. {registry.meanwhile}."
        return RegistryHealth("degraded", detail, state.trouble, rounded_s)
    if registry.has_double:
        detail = (
            "Another process has the NODE_ID of this one, so messages may miss one of them: give each node "
            "its own."
        )
        return RegistryHealth("degraded", detail, "double_name", rounded_s)
    return RegistryHealth("ok", "Redis is used.", None, rounded_s)
