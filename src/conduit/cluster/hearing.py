"""Hearing from other nodes of messages that were stored there.

In which order hints come, and whether twice or not at all, is no matter (broker/deliver/sequencer.py,
tails.py).

At every await. There is one, in `_catch_up`: what is told of topics that are not known here waits until the
store was asked which topics others have made. Meanwhile more may come, and topics may come and go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from conduit.broker.broker import Broker
from conduit.broker.catalog import Topic
from conduit.cluster.hints import Told, read
from conduit.errors import ConduitError, InvalidRequest

# Payload bytes of what is told of topics that are not known here, and waits.
UNKNOWN_MAX_BYTES = 4 << 20
# Between two lines about hints that cannot be read.
TELL_INTERVAL_S = 60.0

logger = logging.getLogger(__name__)


class Hearing:
    """Of one node, whose log others write to as well."""

    shares_log = True

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        # Told of topics that are not known here.
        self._unknown: deque[Told] = deque()
        self._unknown_bytes = 0
        self._asking: asyncio.Task[None] | None = None
        self._tell_at = float("-inf")
        self.heard_count = 0
        """Messages of which others have told."""
        self.dropped_count = 0
        """Of these, those of topics that are not known here, or not any more."""

    def close(self) -> None:
        """Ask nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    def heard(self, body: bytes) -> None:
        """A node has sent a hint."""
        try:
            for told in read(body):
                self.offer(told)
        except InvalidRequest as error:
            now = asyncio.get_running_loop().time()
            if now >= self._tell_at:
                self._tell_at = now + TELL_INTERVAL_S
                logger.warning("%s; its messages come from the log, a second later", error)

    def offer(self, told: Told) -> None:
        """Messages of one topic are stored, another node says."""
        self.heard_count += len(told.messages)
        topic = self._topic(told)
        if topic is not None:
            self._broker.sequencer.told(topic, told.messages, told.first_seq)
            return
        size_bytes = _size(told)
        if self._unknown_bytes + size_bytes > UNKNOWN_MAX_BYTES:
            self.dropped_count += len(told.messages)
            return
        self._unknown.append(told)
        self._unknown_bytes += size_bytes
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._catch_up())

    async def look(self, tenant: str, name: str) -> None:
        """There is something new in a topic, another node says: find it in the log. Raises
        StoreUnavailable."""
        await self._broker.news.hear_of(tenant, name, None)
        topic = self._broker.topics.find(tenant, name)
        if topic is not None:
            await self._broker.tails.fresh([topic])

    def _topic(self, told: Told) -> Topic | None:
        topic = self._broker.topics.find(told.tenant, told.topic)
        # Another epoch is that of a topic that is gone, or of one that was made since.
        return topic if topic is not None and topic.epoch == told.epoch else None

    async def _catch_up(self) -> None:
        """Have what waits go on, or drop it, when it is known which topics others have made."""
        try:
            while self._unknown:
                count = len(self._unknown)
                try:
                    await self._broker.news.ask()
                except ConduitError as error:
                    # It is in the log: whoever follows the topic gets it from there.
                    logger.info("new topics of other nodes are learned later: %s", error)
                for _ in range(count):
                    self._decide(self._unknown.popleft())
        finally:
            self._asking = None

    def _decide(self, told: Told) -> None:
        self._unknown_bytes -= _size(told)
        topic = self._topic(told)
        if topic is None:
            self.dropped_count += len(told.messages)
        else:
            self._broker.sequencer.told(topic, told.messages, told.first_seq)


def _size(told: Told) -> int:
    return sum([len(message.payload) for message in told.messages])
