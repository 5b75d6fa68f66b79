"""Topics that other nodes have and this one has not: asked for over links, and made here.

Topics are each node's own here. But who publishes to one, or subscribes to it, may have been sent to another
node than who has made it. So before a node says that there is no such topic it asks the others, and makes it
with what they keep of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

import msgspec

from conduit.broker.catalog import Catalog
from conduit.broker.topics import Topics
from conduit.cluster.hints import Kept
from conduit.cluster.links.link import Link
from conduit.cluster.links.requests import Asked
from conduit.errors import ConduitError, Conflict, InvalidRequest
from conduit.names import check_tenant

# Of a request.
KIND = "topics"
# For the answers of all nodes.
ASK_TIMEOUT_S = 1.0

logger = logging.getLogger(__name__)


class _Question(msgspec.Struct, frozen=True, array_like=True):
    tenant: str
    names: list[str]


_encode = msgspec.msgpack.Encoder().encode
_question = msgspec.msgpack.Decoder(_Question).decode
_answer = msgspec.msgpack.Decoder(list[Kept | None]).decode


def answer(topics: Topics, asked: Asked) -> None:
    """Another node asks for topics: tell it what is kept of each that is here. Raises InvalidRequest."""
    try:
        question = _question(asked.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"a question for topics cannot be read: {error}") from error
    check_tenant(question.tenant, "tenant")
    found = (topics.find(question.tenant, name) for name in question.names)
    asked.reply(_encode([None if topic is None else Kept.of(topic.retention) for topic in found]))


class TopicFinder:
    """`links` gives those that are up, in the order in which answers count: the first that has a topic says
    what is kept of it."""

    def __init__(self, catalog: Catalog, links: Callable[[], Sequence[Link]]) -> None:
        self._catalog = catalog
        self._links = links

    async def find(self, tenant: str, names: Collection[str]) -> None:
        """See `news.FindTopics`. Who does not answer in time has none of them."""
        missing = [name for name in names if self._catalog.find(tenant, name) is None]
        links = self._links()
        if not missing or not links:
            return
        body = _encode(_Question(tenant, missing))
        answers = await asyncio.gather(*(self._ask(link, body, len(missing)) for link in links))
        for name, *found in zip(missing, *answers, strict=True):
            kept = _first(found)
            if kept is not None and self._catalog.find(tenant, name) is None:
                with suppress(Conflict):
                    await self._catalog.create(tenant, name, kept.retention)

    async def _ask(self, link: Link, body: bytes, count: int) -> Sequence[Kept | None]:
        try:
            found = _answer(await link.ask(KIND, body, ASK_TIMEOUT_S))
        except (ConduitError, msgspec.MsgspecError) as error:
            logger.info("node %s does not say which topics it has: %s", link.peer.name, error)
            found = []
        return found if len(found) == count else [None] * count


def _first(found: Iterable[Kept | None]) -> Kept | None:
    return next((kept for kept in found if kept is not None), None)
