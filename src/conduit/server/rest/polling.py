"""Answers that are of all nodes together, and say which nodes are in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from fastapi import Request
from msgspec import UNSET, UnsetType

from conduit.cluster.inquiries import Inquiry, Question
from conduit.errors import Forbidden
from conduit.server.context import Context
from conduit.server.rest.access import sees_node

T = TypeVar("T")


class Polled(msgspec.Struct, kw_only=True):
    """Which nodes the figures are of.

    `nodes` are in them; those of `unanswered` live, did not answer within a second, and are in none of them.
    Who may not know nodes is told only how many that are.
    """

    unanswered_count: int
    nodes: list[str] | UnsetType = UNSET
    unanswered: list[str] | UnsetType = UNSET


class Seen(NamedTuple):
    """Which nodes have answered, and which have not."""

    nodes: list[str]
    unanswered: list[str]
    is_named: bool
    """Whether who asks may know their names."""

    def fields(self) -> dict[str, Any]:
        """Those of `Polled`."""
        found: dict[str, Any] = {"unanswered_count": len(self.unanswered)}
        if self.is_named:
            found |= {"nodes": self.nodes, "unanswered": self.unanswered}
        return found


def alone(request: Request) -> Seen:
    """Nobody else was asked, because there is nothing to ask for."""
    context: Context = request.app.state.context
    return Seen([context.node.name], [], sees_node(request))


async def look(
    request: Request,
    node: str | None,
    inquiry: Inquiry[T],
    question: Question,
    own: Callable[[], T],
) -> tuple[list[T], Seen]:
    """What all nodes say that live, or the one that is named. `own` says it of this one, and is the first if
    it is among them. Raises Forbidden, if one is named by somebody who may not know nodes, NotFound
    `node_not_found`, and Unavailable `node_unreachable`."""
    context: Context = request.app.state.context
    is_named, own_name = sees_node(request), context.node.name
    if node is None:
        answers = await context.asking.all(inquiry, question)
        seen = Seen(sorted([own_name, *answers.said]), [*answers.unanswered], is_named)
        return [own(), *answers.said.values()], seen
    if not is_named:
        raise Forbidden("figures of single nodes need the scope admin", field="node")
    said = own() if node == own_name else await context.asking.one(node, inquiry, question)
    return [said], Seen([node], [], is_named)
