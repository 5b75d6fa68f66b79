"""What other nodes want, read out of Redis: one node after the other, a part at a time."""

from __future__ import annotations

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.trouble import Trouble, translated, unavailable
from conduit.cluster.registry.wire import Keys, Mark
from conduit.core.interest import Interest
from conduit.core.members import Node

_END = b"0"


class Reader:
    """Reads the states that `Interest` lacks. What it does is one step at a time, each one call."""

    def __init__(self, interest: Interest, keys: Keys, counts: Counts) -> None:
        self._interest = interest
        self._keys = keys
        self._counts = counts
        self._node: Node | None = None
        self._cursor: bytes = _END
        self._begun = Mark(0, 0, has_all=False)

    @property
    def has_work(self) -> bool:
        """Whether a step is to be done."""
        return self._node is not None or self._interest.next_unread() is not None

    async def step(self, calls: Connection) -> None:
        """Read the next part. Raises RegistryUnavailable."""
        if self._node is not None:
            await self._read_part(calls, self._node)
        elif (node := self._interest.next_unread()) is not None:
            await self._begin(calls, node)

    async def _begin(self, calls: Connection, node: Node) -> None:
        (answer,) = await calls.call(("HGET", self._keys.wants(node.incarnation), wire.MARK))
        mark = self._mark(answer)
        if mark is None:
            # It is being written, or was flushed.
            self._interest.give_up(node)
        elif self._interest.begin(node, mark.version, has_all=mark.has_all):
            self._counts.reads += 1
            self._node, self._begun, self._cursor = node, mark, _END

    async def _read_part(self, calls: Connection, node: Node) -> None:
        key = self._keys.wants(node.incarnation)
        found, answer = await calls.call(
            ("HSCAN", key, self._cursor, "COUNT", wire.STEP_MAX_COUNT),
            ("HGET", key, wire.MARK),
        )
        mark = self._mark(answer)
        if mark is None or mark.writing != self._begun.writing or isinstance(found, Exception):
            # What was read is of a state that is not there any more.
            self._interest.give_up(node)
            self._node = None
            return
        self._cursor, pairs = self._part(found)
        entries, malformed_count = wire.stored(pairs)
        if malformed_count:
            # Not what the node has written. What it wants is among that, perhaps.
            self._counts.malformed += malformed_count
            self._interest.give_up(node)
            self._node = None
            return
        is_wanted = self._interest.load(node, entries)
        if not is_wanted or self._cursor == _END:
            self._interest.end(node, mark.version)
            self._node = None

    @staticmethod
    def _part(answer: object) -> tuple[bytes, list[bytes]]:
        match answer:
            case [bytes(cursor), list(parts)]:
                return cursor, parts
        raise unavailable(Trouble.NOT_REDIS)

    def _mark(self, answer: object) -> Mark | None:
        if isinstance(answer, Exception):
            if "WRONGTYPE" not in str(answer):
                raise translated(answer)
            return None
        mark = wire.mark(answer)
        if mark is None and answer is not None:
            self._counts.malformed += 1
        return mark
