"""Registries on a real Redis, and whether they agree."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import uuid_utils

from conduit.cluster.registry.registry import Registry
from conduit.core.members import Member, Node
from tests.support.wait import until_true

_names = itertools.count()


def member(name: str | None = None) -> Member:
    """A node that has just been started."""
    return Member(
        name=name or f"node-{next(_names)}",
        incarnation=str(uuid_utils.uuid7()),
        address="127.0.0.1:1",
        version="1.0",
        since_ms=1,
    )


class Party:
    """Registries of one cluster. `truth` is what each of them wants: node → entry → subscribers."""

    def __init__(self, urls: Sequence[str], cluster_id: str | None = None) -> None:
        self.cluster_id = cluster_id or str(uuid.uuid4())
        self.owns = [member() for _ in urls]
        self.registries = [
            Registry(url, self.cluster_id, own) for url, own in zip(urls, self.owns, strict=True)
        ]
        self.truth: dict[Node, dict[tuple[str, str, str], int]] = {
            own.node: {} for own in self.owns
        }

    def want(self, place: int, tenant: str, subscription: str, pattern: str, count: int) -> None:
        """The node at this place has so many subscribers now."""
        entry = (tenant, subscription, pattern)
        self.registries[place].set_interest(*entry, count)
        entries = self.truth[self.owns[place].node]
        entries.pop(entry, None)
        if count:
            entries[entry] = count

    def key(self, place: int) -> str:
        """Of the state in Redis of the node at this place."""
        return f"conduit:{{{self.cluster_id}}}:wants:{self.owns[place].incarnation}"

    def agrees(self) -> bool:
        """Whether each registry knows of each other one exactly what it wants."""
        return all(
            not registry.unknown
            and {each.node for each in registry.nodes()} == self.truth.keys()
            and self._knows_all(registry, own.node)
            for registry, own in zip(self.registries, self.owns, strict=True)
        )

    def _knows_all(self, registry: Registry, own: Node) -> bool:
        others = {node: entries for node, entries in self.truth.items() if node != own}
        known = {node: wants._entries for node, wants in registry._others.interest._trusted}
        return known == others

    def is_up(self) -> bool:
        return all(registry.state.is_up for registry in self.registries)


@asynccontextmanager
async def party(*urls: str, cluster_id: str | None = None) -> AsyncIterator[Party]:
    """A registry for each of these, which know each other."""
    made = Party(urls, cluster_id)
    for registry in made.registries:
        await registry.start()
    try:
        await until_true(made.agrees)
        await until_true(made.is_up)
        yield made
    finally:
        await asyncio.gather(*(registry.close() for registry in made.registries))


@asynccontextmanager
async def registry(
    url: str, cluster_id: str | None = None, on_nodes: Callable[[], None] = lambda: None
) -> AsyncIterator[Registry]:
    """One that may or may not reach its Redis."""
    made = Registry(url, cluster_id or str(uuid.uuid4()), member(), on_nodes)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
