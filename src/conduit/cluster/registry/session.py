"""One life of the connections to Redis: from their making to the first failure of either.

Two tasks: one hears announcements; the other does everything else, one call after the other, each bounded in
time and size: a beat every second, what this node wants, what others want. What was announced while nobody
heard it must be noticed: so hearing begins first, and the first failure ends both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from conduit.cluster.registry import wire
from conduit.cluster.registry.connection import Connection
from conduit.cluster.registry.counts import Counts
from conduit.cluster.registry.others import Others
from conduit.cluster.registry.reader import Reader
from conduit.cluster.registry.trouble import Trouble, translated, unavailable
from conduit.cluster.registry.wire import Announcement, Command, Keys, Presence
from conduit.cluster.registry.writer import Writer, leaving
from conduit.core.members import NODES_MAX_COUNT, Member

# Between two beats, and by how much of that it is shortened by chance: nodes shall not beat together.
BEAT_S = 1.0
BEAT_JITTER = 0.1
# When somebody new is heard.
LOOK_SOON_S = 0.1
# So many beats may be without an echo, and for so long.
SILENT_MAX_COUNT = 3
SILENT_S = 3.0
# Announcements that are taken in one turn of the loop, if so many wait.
HEARD_MAX_COUNT = 10
# Of names in the index that are looked up: those that are gone are among them for a second.
INDEX_MAX_COUNT = 2 * NODES_MAX_COUNT


class Parts(NamedTuple):
    """What outlives a session."""

    own: Member
    keys: Keys
    others: Others
    writer: Writer
    reader: Reader
    counts: Counts


class Session:
    """Two connections and what is done with them. `wake` is set when there may be something to do; `on_up`
    is called once everything that this node says stands in Redis. `chance` gives numbers in [0, 1)."""

    def __init__(
        self,
        url: str,
        parts: Parts,
        wake: asyncio.Event,
        on_up: Callable[[], None],
        chance: Callable[[], float],
    ) -> None:
        self._parts = parts
        self._wake = wake
        self._on_up = on_up
        self._chance = chance
        self._hearing = Connection(url, parts.counts.latency)
        self._calls = Connection(url, parts.counts.latency)
        self._echo = parts.keys.echo(parts.own.incarnation)
        self._next_beat_at = 0.0
        self._beat_count = 0
        # The number of the last beat that came back.
        self._echoed = 0
        self._echoed_at = 0.0
        self._is_up = False
        self._is_leaving = False
        self._reads_next = False

    def leave(self) -> None:
        """End soon, and take away what this node has said."""
        self._is_leaving = True
        self._wake.set()

    async def run(self) -> None:
        """Returns after `leave` only. Raises RegistryUnavailable. Whatever it ends with, the connections are
        closed."""
        parts = self._parts
        try:
            await self._hearing.open()
            await self._hearing.subscribe(parts.keys.said, self._echo)
            await self._calls.open()
            parts.writer.reset()
            parts.counts.connects += 1
            await _until_one_ends(self._hear(), self._care())
        finally:
            await self._calls.close()
            await self._hearing.close()

    # What is heard

    async def _hear(self) -> None:
        echo = self._echo.encode()
        count = 0
        while True:
            channel, data = await self._hearing.message()
            if channel == echo:
                self._echoed = wire.number(data) or 0
                self._echoed_at = asyncio.get_running_loop().time()
            elif (said := wire.announcement(data)) is not None:
                self._take(said)
            else:
                self._parts.counts.malformed += 1
            count += 1
            if count % HEARD_MAX_COUNT == 0:
                # What waits already does not give the loop a turn by itself.
                await asyncio.sleep(0)

    def _take(self, said: Announcement) -> None:
        if self._parts.others.hear(said):
            # By somebody new.
            soon = asyncio.get_running_loop().time() + LOOK_SOON_S
            self._next_beat_at = min(self._next_beat_at, soon)
            self._wake.set()
        if self._parts.reader.has_work:
            self._wake.set()

    # What is done

    async def _care(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_leaving:
            now = loop.time()
            if now >= self._next_beat_at:
                self._next_beat_at = now + BEAT_S * (1.0 - BEAT_JITTER * self._chance())
                await self._beat(now)
            elif (step := self._next_step(now)) is not None:
                await step
                self._tell_if_up()
            else:
                await self._sleep(min(self._next_beat_at, self._parts.writer.due_at(now)))
        await self._calls.call(*leaving(self._parts.own.node, self._parts.keys))

    def _next_step(self, now: float) -> Coroutine[Any, Any, None] | None:
        """Writing and reading in turn, if there is both: a slow Redis must not keep either from its turn."""
        writer, reader = self._parts.writer, self._parts.reader
        is_due = writer.due_at(now) <= now
        if reader.has_work and (self._reads_next or not is_due):
            self._reads_next = False
            return reader.step(self._calls)
        if is_due:
            self._reads_next = True
            return writer.step(self._calls, now)
        return None

    async def _sleep(self, until: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    def _tell_if_up(self) -> None:
        if not self._is_up and self._parts.writer.is_sure:
            self._is_up = True
            self._on_up()

    async def _beat(self, now: float) -> None:
        """Say that this node is there, see whether what it said still stands, and who else is there."""
        parts, key = self._parts, self._parts.keys
        is_behind = self._beat_count - self._echoed > SILENT_MAX_COUNT
        if is_behind and now - self._echoed_at > SILENT_S:
            raise unavailable(Trouble.SILENT)
        self._beat_count += 1
        (was_there, *_, mark, field_count, _, _, index) = await self._exchange()
        if not was_there:
            parts.others.forgive(now)
        parts.writer.look(mark, field_count)
        parts.counts.beats += 1
        parts.counts.answered_at = asyncio.get_running_loop().time()
        if isinstance(index, list):
            await self._look(index, now)
        else:
            # Something else has the name of the index.
            await self._calls.call(("UNLINK", key.nodes))
        self._tell_if_up()

    async def _exchange(self) -> list[Any]:
        """The answers to what a beat says; all in one go, so that it is all from before or all from after
        whatever happens to Redis."""
        own, keys = self._parts.own, self._parts.keys
        presence = wire.encode(_presence(own, self._parts.writer.said))
        wants = keys.wants(own.incarnation)
        answers = await self._calls.call(
            ("MULTI",),
            ("EXISTS", keys.presence(own.incarnation)),
            ("SET", keys.presence(own.incarnation), presence, "PX", _ms(wire.PRESENCE_TTL_S)),
            ("PEXPIRE", wants, _ms(wire.STATE_TTL_S)),
            ("HGET", wants, wire.MARK),
            ("HLEN", wants),
            ("SADD", keys.nodes, own.incarnation),
            ("PEXPIRE", keys.nodes, _ms(wire.STATE_TTL_S)),
            ("SMEMBERS", keys.nodes),
            ("EXEC",),
            ("PUBLISH", self._echo, self._beat_count),
        )
        for answer in answers:
            if isinstance(answer, Exception):
                raise translated(answer)
        match answers[-2]:
            case [*found] if len(found) == len(answers) - 3:
                return found
        raise unavailable(Trouble.NOT_REDIS)

    async def _look(self, index: list[Any], now: float) -> None:
        """See who is there, and take out of the index who is not."""
        own, keys = self._parts.own.incarnation, self._parts.keys
        names = {each.decode(errors="replace"): each for each in index if isinstance(each, bytes)}
        known = set(filter(wire.is_incarnation, names))
        listed = [own, *sorted(known - {own}, reverse=True)[:INDEX_MAX_COUNT]]
        (answers,) = await self._calls.call(("MGET", *map(keys.presence, listed)))
        if not isinstance(answers, list) or len(answers) != len(listed):
            raise unavailable(Trouble.NOT_REDIS)
        found = dict(zip(listed, answers, strict=True))
        if found.get(own) is None:
            # All is gone since the beat: that says nothing of the others.
            return
        said = [each for each in answers if each is not None]
        there = [each for each in map(wire.presence, said) if each is not None]
        strangers = [raw for name, raw in names.items() if name not in known][:INDEX_MAX_COUNT]
        self._parts.counts.malformed += len(said) - len(there) + len(strangers)
        self._parts.others.look(there, now)
        gone: Command = tuple(each for each, answer in found.items() if answer is None)
        if gone or strangers:
            await self._calls.call(("SREM", keys.nodes, *gone, *strangers))


def _presence(own: Member, said: int) -> Presence:
    return Presence(
        name=own.name,
        incarnation=own.incarnation,
        address=own.address,
        version=own.version,
        since_ms=own.since_ms,
        said=said,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


async def _until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until the first has ended, and raise its error."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
