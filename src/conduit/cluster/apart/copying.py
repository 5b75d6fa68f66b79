"""Messages of other nodes, which are appended to this node's own log.

Each comes once, or not at all: nobody reads it anywhere later. It has the id that it has where it was
published, and the number, epoch and time of this log. What nothing here wants is not appended: it comes when
the other node does not know what is wanted. What comes again is known by its id for a while (core/recent.py).

At every await. There is one, in `_make`: a topic that does not exist here is made first, with what the other
node keeps of it. What comes for that topic meanwhile waits behind it, so that the order stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from conduit.broker.broker import Broker
from conduit.broker.topics import Topic
from conduit.cluster.hints import Told, read
from conduit.core.message import NewMessage
from conduit.core.recent import Recent
from conduit.errors import ConduitError, Conflict, InvalidRequest, OutcomeUnknown, StateError
from conduit.storage.base import TOPIC_GONE, Appended

# Ids that are known again, at least: some seconds of as much as a node takes, and 15 MB at most.
RECENT_COUNT = 50_000
# Payload bytes that wait for their topics to be made; and how long one of them is waited for.
WAITING_MAX_BYTES = 4 << 20
MAKE_TIMEOUT_S = 5.0
# Between two lines about what was dropped.
TELL_INTERVAL_S = 60.0

logger = logging.getLogger(__name__)

Wanted = Callable[[str, str], bool]
"""Whether anything here wants messages of this tenant's topic."""
_Place = tuple[str, str]
"""Tenant and topic."""


class Copying:
    """Of one node. `close` it before the broker stops."""

    shares_log = False

    def __init__(self, broker: Broker, is_wanted: Wanted) -> None:
        self._broker = broker
        self._is_wanted = is_wanted
        self._recent = Recent(RECENT_COUNT)
        self._waiting: dict[_Place, list[Told]] = {}
        self._waiting_bytes = 0
        self._making: asyncio.Task[None] | None = None
        self._tell_at = float("-inf")
        self.coming: set[str] = set()
        """Ids of what is on its way into the log: of this nobody is told again."""
        self.heard_count = 0
        """Messages of which others have told."""
        self.stored_count = 0
        """Of these, those that are in the log."""
        self.unwanted_count = 0
        """Those that nothing here wants."""
        self.repeated_count = 0
        """Those that had come before."""
        self.dropped_count = 0
        """Those that could not be stored, and are lost for those who subscribe here."""

    def close(self) -> None:
        """Make no topics any more."""
        if self._making is not None:
            self._making.cancel()

    def heard(self, body: bytes) -> None:
        """A node has sent a hint."""
        try:
            for told in read(body):
                self.offer(told)
        except InvalidRequest as error:
            self._tell(f"what another node has sent is dropped: {error}")

    def offer(self, told: Told) -> None:
        """Messages of one topic are stored at another node."""
        count = len(told.messages)
        self.heard_count += count
        if not self._is_wanted(told.tenant, told.topic):
            self.unwanted_count += count
            return
        place = told.tenant, told.topic
        waiting = self._waiting.get(place)
        topic = None if waiting is not None else self._broker.topics.find(*place)
        if topic is not None:
            self._append(topic, told)
        else:
            self._wait(place, told)

    async def look(self, tenant: str, name: str) -> None:
        """A node says only that there is something new in a topic, and not what. Raises InvalidRequest."""
        raise InvalidRequest(
            f"topic {name!r}: nodes without a database share no log, so a message has to come whole, with "
            "message_id and payload"
        )

    # Into the log ---------------------------------------------------------------------------------

    def _append(self, topic: Topic, told: Told) -> None:
        fresh = [each for each in told.messages if self._recent.add(each.message_id)]
        self.repeated_count += len(told.messages) - len(fresh)
        if not fresh:
            return
        messages = [
            NewMessage(topic.topic_id, each.message_id, each.payload, each.key, each.headers)
            for each in fresh
        ]
        ids = [each.message_id for each in fresh]
        self.coming.update(ids)
        self._broker.take(topic, messages, _Copies(self, ids))

    def ended(self, ids: Collection[str], error: ConduitError | None) -> None:
        """They are in the log; or not, for this reason."""
        self.coming.difference_update(ids)
        if error is None:
            self.stored_count += len(ids)
            return
        # They may come again.
        self._recent.forget(ids)
        self._drop(len(ids), str(error))

    def _drop(self, count: int, why: str) -> None:
        self.dropped_count += count
        self._tell(
            f"messages of other nodes are dropped, and subscribers here do not get them: {why}"
        )

    def _tell(self, sentence: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._tell_at:
            self._tell_at = now + TELL_INTERVAL_S
            logger.warning(sentence)

    # Topics that are not here ---------------------------------------------------------------------

    def _wait(self, place: _Place, told: Told) -> None:
        size_bytes = _size(told)
        if self._waiting_bytes + size_bytes > WAITING_MAX_BYTES:
            self._drop(len(told.messages), "too many wait for their topics to be made")
            return
        self._waiting.setdefault(place, []).append(told)
        self._waiting_bytes += size_bytes
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make_all())

    async def _make_all(self) -> None:
        try:
            while self._waiting:
                place = next(iter(self._waiting))
                await self._make(place)
        finally:
            self._making = None

    async def _make(self, place: _Place) -> None:
        """Have what waits for this topic go on, or drop it."""
        why = "its topic was deleted meanwhile"
        try:
            async with asyncio.timeout(MAKE_TIMEOUT_S):
                kept = self._waiting[place][0].kept
                await self._broker.topics.create(*place, None if kept is None else kept.retention)
        except TimeoutError:
            why = f"topic {place[1]!r} could not be made in time"
        except Conflict:
            # Somebody has made it just now.
            pass
        except ConduitError as error:
            why = f"topic {place[1]!r} cannot be made: {error}"
        except Exception as error:
            logger.exception("topic %r could not be made for messages of another node", place[1])
            why = StateError.of(error).detail
        topic, waiting = self._broker.topics.find(*place), self._waiting.pop(place)
        for told in waiting:
            self._waiting_bytes -= _size(told)
            if topic is None:
                self._drop(len(told.messages), why)
            else:
                self._append(topic, told)


class _Copies:
    """Messages of one topic on their way; see `queue.Unit`."""

    __slots__ = ("_copying", "_ids")

    def __init__(self, copying: Copying, ids: Collection[str]) -> None:
        self._copying = copying
        self._ids = ids

    def stored(self, seqs: Sequence[Appended], start: int) -> None:
        """See `Unit.stored`."""
        gone = seqs[start] == TOPIC_GONE
        self._copying.ended(self._ids, Conflict("their topic was deleted") if gone else None)

    def failed(self, error: ConduitError) -> None:
        """See `Unit.failed`."""
        if not isinstance(error, OutcomeUnknown):
            self._copying.ended(self._ids, error)


def _size(told: Told) -> int:
    return sum([len(message.payload) for message in told.messages])
