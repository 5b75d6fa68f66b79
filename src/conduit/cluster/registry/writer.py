"""What this node wants, written to Redis: one change after the other, or all anew."""

from __future__ import annotations

import math

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.trouble import Trouble, translated, unavailable
from conduit.cluster.registry.wire import Announcement, Command, Keys, Mark
from conduit.core.interest import Change
from conduit.core.members import Node
from conduit.core.own_interest import OwnInterest, Said

# Changes that come within so long are written together.
JOIN_S = 0.05


class Writer:
    """Keeps the state in Redis equal to `OwnInterest`. What it does is one step at a time, each one call."""

    def __init__(self, own: OwnInterest, node: Node, keys: Keys, counts: Counts) -> None:
        self._own = own
        self._node = node
        self._keys = keys
        self._key = keys.wants(node.incarnation)
        self._counts = counts
        self._writing = 0
        # What is left to be written anew, and how much of it is written; None: nothing is.
        self._left: list[Change] | None = None
        self._written_count = 0
        self.is_sure = False
        """Whether Redis has the state, as far as anybody knows. Until then only a look leads on."""
        self._next_at = 0.0

    @property
    def said(self) -> int:
        """The version that others should have."""
        return self._own.version

    def reset(self) -> None:
        """The connection is another one, and what became of the last step is not known."""
        self._left = None
        self.is_sure = False

    def look(self, mark: object, field_count: object) -> None:
        """Redis has this of the state. If that is not what it should have, all is written anew."""
        if self._left is not None:
            return
        expected = self._mark().encoded().encode()
        self.is_sure = mark == expected and field_count == len(self._own) + 1
        if not self.is_sure:
            self._begin()

    def due_at(self, now: float) -> float:
        """When the next step is to be done; infinite if there is none."""
        if self._left is not None:
            return now
        if not self.is_sure or not self._own.untold_count:
            return math.inf
        is_full = self._own.untold_count >= wire.STEP_MAX_COUNT
        return now if is_full else max(now, self._next_at)

    async def step(self, calls: Connection, now: float) -> None:
        """Write what is due. Raises RegistryUnavailable."""
        if self._left is not None:
            await self._write_part(calls, self._left)
            return
        self._next_at = now + JOIN_S
        said = self._own.take(wire.STEP_MAX_COUNT)
        if said is None:
            return
        if said.changes is None:
            self._begin()
            return
        self.is_sure = await self._write_change(calls, said, said.changes)

    async def _write_change(self, calls: Connection, said: Said, changes: list[Change]) -> bool:
        fields = wire.fields(changes)
        before = self._mark()._replace(version=said.version - 1)
        gone = [field for field, count in fields if not count]
        there = [part for field, count in fields if count for part in (field, count)]
        (answer,) = await calls.call(
            self._script(
                said.count_before + 1,
                before,
                self._mark(),
                self._announcement(said.version, fields),
                *(len(gone), *gone, *there),
            )
        )
        self._counts.changes += 1
        return self._is_done(answer)

    def _begin(self) -> None:
        self._writing += 1
        self._written_count = 0
        self._left = self._own.state()
        self.is_sure = False
        self._counts.rewrites += 1

    async def _write_part(self, calls: Connection, left: list[Change]) -> None:
        part = left[-wire.STEP_MAX_COUNT :]
        del left[-wire.STEP_MAX_COUNT :]
        there = [each for field, count in wire.fields(part) for each in (field, count)]
        script = self._script(
            self._written_count,
            None,
            None if left else self._mark(),
            None if left else self._announcement(self._own.version, None),
            *(0, *there),
        )
        is_first = self._written_count == 0
        commands: list[Command] = [("UNLINK", self._key)] if is_first else []
        answers = await calls.call(*commands, script)
        self._written_count += len(part)
        if not self._is_done(answers[-1]):
            # Flushed, or written by a command that came late: the next look finds that.
            self._left = None
        elif not left:
            self._left = None
            self.is_sure = True

    def _is_done(self, answer: object) -> bool:
        if answer in (0, 1):
            return answer == 1
        if isinstance(answer, Exception):
            error = translated(answer)
            if "WRONGTYPE" in str(answer):
                # Somebody else's; it is removed when all is written anew.
                return False
            raise error
        raise unavailable(Trouble.NOT_REDIS)

    def _mark(self) -> Mark:
        return Mark(self._own.version, self._writing, self._own.has_all)

    def _announcement(self, version: int, fields: list[tuple[str, int]] | None) -> bytes:
        name, incarnation = self._node
        return wire.encode(Announcement(name, incarnation, version, fields))

    def _script(
        self,
        field_count: int,
        before: Mark | None,
        after: Mark | None,
        announcement: bytes | None,
        *fields: str | int,
    ) -> Command:
        return (
            *("EVAL", wire.SCRIPT, 1, self._key, field_count),
            before.encoded() if before else "",
            after.encoded() if after else "",
            *(round(wire.STATE_TTL_S * 1000), self._keys.said, announcement or "", *fields),
        )


def leaving(node: Node, keys: Keys) -> tuple[Command, ...]:
    """Commands that take away all that this node has said, and say so."""
    farewell = Announcement(node.name, node.incarnation, 0, None, is_leaving=True)
    return (
        ("UNLINK", keys.presence(node.incarnation), keys.wants(node.incarnation)),
        ("SREM", keys.nodes, node.incarnation),
        ("PUBLISH", keys.said, wire.encode(farewell)),
    )
