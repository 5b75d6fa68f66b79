"""Where a subscription begins: the client's `start` checked, and turned into numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from itertools import islice

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.large_starts import LargeStarts, has_many, in_steps
from conduit.broker.store_time import StoreTime
from conduit.core.topics import matcher
from conduit.errors import InvalidRequest
from conduit.names import is_pattern
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import SEQ_MAX, Gap, StartAt, StartPosition, StartSpec
from conduit.storage.base import Extent, Former, Start, StartPlace, Store

# Topics that one `positions` may name.
POSITIONS_MAX_COUNT = 10_000
# Of these the store is asked at once.
NAMES_AT_ONCE_COUNT = 1_000
# Steps of a walk through a pattern's topics of which the store is asked at once.
STEPS_AT_ONCE_COUNT = 10


class Beginning(msgspec.Struct):
    """A start made concrete. `floors` has the topics that do not begin at `new`, by id."""

    start: Start
    floors: dict[int, int]
    gaps: list[Gap]
    """What a requested position could not be given."""
    recovered: bool | None
    """Whether every requested position could be; None if none was requested."""
    takes_all: bool = False
    """Whether a topic that was made after `floors` were found is taken from its first message on."""
    places: dict[str, StartPlace] = {}
    """Of `start`, if positions were requested; and what of these is not there."""
    gone: list[Former] = []
    asked: Mapping[str, StartPosition] = {}
    """The positions that are another thing once their topics have come or gone."""
    removed: list[Gap] = []
    """What retention or a purge has removed from requested positions on. Cursors find and tell it when they
    read the log: it is for whoever asked alone."""

    def cannot_give(self, gap: Gap) -> None:
        """Tell it: a position that was requested is not there."""
        self.gaps.append(gap)
        self.recovered = False

    def forget(self, names: Container[str]) -> None:
        """Nothing is known of the positions of these topics any more."""
        for told in (self.gaps, self.removed):
            told[:] = [gap for gap in told if gap.topic not in names]
        self.gone[:] = [gone for gone in self.gone if gone.name not in names]


def check_start(pattern: str, spec: StartSpec | None) -> None:
    """Raise InvalidRequest for a `start` that makes no sense for the pattern. Many positions in a pattern are
    looked at when it begins."""
    if not isinstance(spec, StartAt):
        return
    given = {name for name in ("seq", "time", "positions") if getattr(spec, name) is not None}
    if len(given) != 1 and given != {"positions", "time"}:
        raise InvalidRequest(
            "start must have one of seq, time and positions, or positions and time", field="start"
        )
    if spec.epoch is not None and spec.seq is None:
        raise InvalidRequest("start.epoch belongs to start.seq", field="start.epoch")
    _check_seq(spec.seq, "start.seq")
    if spec.time is not None:
        _time_ms(spec.time)
    positions = spec.positions or {}
    if len(positions) > POSITIONS_MAX_COUNT:
        raise InvalidRequest(
            f"start.positions may name {POSITIONS_MAX_COUNT} topics", field="start.positions"
        )
    if not has_many(spec) or not is_pattern(pattern):
        # Where one topic is meant the second of them is refused.
        _check_positions(pattern, positions.items())


def _check_positions(pattern: str, positions: Iterable[tuple[str, StartPosition]]) -> None:
    is_meant = matcher(pattern)
    for name, position in positions:
        if not _is_seq(position.seq):
            _check_seq(position.seq, f"start.positions.{name}.seq")
        if not is_meant(name):
            raise InvalidRequest(
                f"start.positions names {name!r}, which is not in {pattern!r}",
                field="start.positions",
            )


def _time_ms(text: str) -> int:
    try:
        # The log has nothing from before the epoch.
        return max(0, parse_time(text))
    except ValueError as error:
        raise InvalidRequest(f"start.time {error}", field="start.time") from error


def _check_seq(seq: int | None, field: str) -> None:
    if seq is not None and not _is_seq(seq):
        raise InvalidRequest(f"{field} must be 1 to {SEQ_MAX} (2^53)", field=field)


def _is_seq(number: int) -> bool:
    return 1 <= number <= SEQ_MAX


class Starts:
    """Turns starts into numbers. A pattern is one question to the store, however many topics it has."""

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        store_time: StoreTime,
        learned: Callable[[Topic, int], None],
    ) -> None:
        """`learned` gets a topic and up to which number the log has it, if this node did not know."""
        self._learned = learned
        self.line = LargeStarts()
        """Have the turn of a start while you `begin` and use what it says."""
        self.ask: Callable[[], Awaitable[None]] | None = None
        """Know what others have made, where others may."""
        self._catalog = catalog
        self._store = store
        self._store_time = store_time

    async def begin(self, tenant: str, pattern: str, spec: StartSpec | None) -> Beginning:
        """What `spec` means for the topics that `pattern` has when this returns: act on it before you next
        wait, or after `look_again`. Raises InvalidRequest, StoreUnavailable."""
        check_start(pattern, spec)
        if spec is None or spec == "new":
            return Beginning(Start(), {}, [], None)
        if spec == "earliest":
            start = Start(earliest=True)
            return Beginning(start, await self._floors(tenant, pattern, start), [], None, True)
        assert isinstance(spec, StartAt)
        since_ms: int | None = None
        floors: dict[int, int] = {}
        if spec.time is not None:
            # Rather earlier than to miss what came after that time by a clock that was set back since.
            since_ms = self._store_time.earliest_ms(_time_ms(spec.time))
            start = Start(time_ms=since_ms)
            floors = await self._floors(tenant, pattern, start)
            if spec.positions is None:
                return Beginning(start, floors, [], None, True)
        if spec.seq is not None and is_pattern(pattern):
            return await self._everywhere_at(tenant, pattern, StartPosition(spec.seq, spec.epoch))
        asked = self._positions(pattern, spec)
        async for some in in_steps(asked.items() if has_many(spec) else ()):
            _check_positions(pattern, some)
        has_lost = await self._has_lost(tenant, floors, asked)
        found = await self._at(tenant, asked, _at_positions(floors, since_ms))
        if has_lost:
            found.recovered = False
        return found

    async def _at(
        self, tenant: str, asked: Mapping[str, StartPosition], found: Beginning
    ) -> Beginning:
        """Begin at these positions, in the topics that are there when this returns."""
        found.asked = asked
        await self._hear_of(tenant, asked)
        extents: dict[int, Extent] = {}
        async for names in in_steps(asked, NAMES_AT_ONCE_COUNT):
            extents |= await self._extents(tenant, names)
        # Which topics are meant is said only now: one may have been made anew while the store was asked.
        async for some in in_steps(asked.items()):
            self._add(found, tenant, dict(some), extents)
        self.look_again(tenant, found)
        return found

    async def _hear_of(self, tenant: str, asked: Mapping[str, StartPosition]) -> None:
        """What is not known here another node may have made a moment ago."""
        if self.ask is None:
            return
        async for some in in_steps(asked.items()):
            if not all(self._knows(tenant, name, position) for name, position in some):
                return await self.ask()

    def _knows(self, tenant: str, name: str, position: StartPosition) -> bool:
        topic = self._catalog.find(tenant, name)
        return topic is not None and position.epoch in (None, topic.epoch)

    def look_again(self, tenant: str, beginning: Beginning) -> None:
        """Others had their turns: of requested positions whose topics came or went meanwhile, say what is
        there now."""
        changed = {
            name: position
            for name, position in beginning.asked.items()
            if beginning.places[name].topic_id != self._id_of(tenant, name)
        }
        if changed:
            beginning.forget(changed)
            self._add(beginning, tenant, changed, {})

    def _id_of(self, tenant: str, name: str) -> int:
        topic = self._catalog.find(tenant, name)
        return 0 if topic is None else topic.topic_id

    async def _has_lost(self, tenant: str, floors: dict[int, int], named: Iterable[str]) -> bool:
        """Whether retention has removed what was published since the time that these were found for, of other
        topics than these; the cursors tell that gap."""
        topics = (self._catalog.find(tenant, name) for name in named)
        known = {topic.topic_id for topic in topics if topic is not None}
        ids = [id_ for id_, floor in floors.items() if not floor and id_ not in known]
        for start in range(0, len(ids), POSITIONS_MAX_COUNT):
            part = ids[start : start + POSITIONS_MAX_COUNT]
            if any(extent.first_seq > 1 for extent in await self._store.extents(part)):
                return True
        return False

    async def _everywhere_at(self, tenant: str, pattern: str, position: StartPosition) -> Beginning:
        """One number in all topics of a pattern, some at a time. Those that are made meanwhile begin at their
        first message."""
        found = _at_positions({}, None)
        found.takes_all = True
        asked = found.asked = dict[str, StartPosition]()
        walk = self._catalog.walk(tenant, pattern)
        while steps := [*islice(walk, STEPS_AT_ONCE_COUNT)]:
            topics = [topic for step in steps for topic in step.topics]
            names = [topic.name for topic in topics]
            # Only of one the client knows which topic it was.
            asked |= {topic.name: position for topic in topics if topic.epoch == position.epoch}
            extents = await self._extents(tenant, names)
            self._add(found, tenant, dict.fromkeys(names, position), extents)
            await asyncio.sleep(0)
        self.look_again(tenant, found)
        return found

    async def floors(
        self, tenant: str, pattern: str, beginning: Beginning
    ) -> list[tuple[int, int]]:
        """What the store takes it for by now: (topic id, floor) of every topic. Raises StoreUnavailable."""
        return await self._store.positions(tenant, pattern, beginning.start)

    async def look_for_gone(self, tenant: str, beginning: Beginning) -> None:
        """Positions of topics that went since it began are among its gaps then."""
        async for some in in_steps(beginning.places.items()):
            for name, place in some:
                if place.topic_id and place.topic_id != self._id_of(tenant, name):
                    topic = self._catalog.find(tenant, name)
                    epoch = "" if topic is None else topic.epoch
                    beginning.removed[:] = [gap for gap in beginning.removed if gap.topic != name]
                    beginning.cannot_give(Gap(name, place.first_seq, None, "epoch_changed", epoch))

    def _add(
        self,
        beginning: Beginning,
        tenant: str,
        positions: Mapping[str, StartPosition],
        extents: Mapping[int, Extent],
    ) -> None:
        """Begin at these positions."""
        places, gone, since_ms = beginning.places, beginning.gone, beginning.start.time_ms
        for name, position in positions.items():
            topic = self._catalog.find(tenant, name)
            if topic is None:
                # The topic is gone, and with it the numbering that the position belongs to.
                places[name] = StartPlace(0, position.seq)
                missing = Gap(name, position.seq, None, "epoch_changed", "")
                beginning.cannot_give(missing)
                gone.append(_former(position, missing))
                continue
            extent = extents.get(topic.topic_id)
            if extent is not None and topic.last_seq < position.seq - 1:
                # Of what another node has stored the client may know more than this one.
                self._learned(topic, min(extent.last_seq, position.seq - 1))
            floor, gap = _floor(topic, position, since_ms)
            beginning.floors[topic.topic_id] = floor
            places[name] = StartPlace(topic.topic_id, floor + 1)
            if gap is not None:
                beginning.cannot_give(gap)
                gone.append(_former(position, gap))
            elif position.seq < (first_seq := (topic if extent is None else extent).first_seq):
                beginning.recovered = False
                gone_to = Gap(name, position.seq, first_seq - 1, "retention", topic.epoch)
                beginning.removed.append(gone_to)

    @staticmethod
    def _positions(pattern: str, spec: StartAt) -> dict[str, StartPosition]:
        """The requested ones, by topic."""
        if spec.seq is None:
            return spec.positions or {}
        return {pattern: StartPosition(spec.seq, spec.epoch)}

    async def _floors(self, tenant: str, pattern: str, start: Start) -> dict[int, int]:
        return dict(await self._store.positions(tenant, pattern, start))

    async def _extents(self, tenant: str, names: Iterable[str]) -> dict[int, Extent]:
        """What is stored, by topic id."""
        topics = (self._catalog.find(tenant, name) for name in names)
        topic_ids = tuple(topic.topic_id for topic in topics if topic is not None)
        extents = await self._store.extents(topic_ids) if topic_ids else []
        return {extent.topic_id: extent for extent in extents}


def _at_positions(floors: dict[int, int], since_ms: int | None) -> Beginning:
    """None of them yet; other topics begin at `since_ms`, which is at `floors`, or at new."""
    places: dict[str, StartPlace] = {}
    gone: list[Former] = []
    start = Start(positions=places, time_ms=since_ms, gaps=gone)
    return Beginning(start, floors, [], True, since_ms is not None, places, gone)


def _floor(topic: Topic, position: StartPosition, since_ms: int | None) -> tuple[int, Gap | None]:
    if position.epoch is None:
        # The stream began at `since_ms`. In a topic that is younger, a position may be of the one before
        # it: rather deliver twice than miss something silently.
        is_other = since_ms is not None and topic.created_at_ms > since_ms
    else:
        is_other = position.epoch != topic.epoch
    if is_other:
        gap = Gap(topic.name, position.seq, None, "epoch_changed", topic.epoch)
        return topic.first_seq - 1, gap
    following = topic.last_seq + 1
    if position.seq > following:
        gap = Gap(topic.name, following, position.seq - 1, "log_lost", topic.epoch)
        return topic.last_seq, gap
    return position.seq - 1, None


def _former(position: StartPosition, gap: Gap) -> Former:
    """The gap as a durable subscription is owed it."""
    epoch = gap.epoch if gap.reason == "log_lost" else position.epoch or ""
    return Former(gap.topic, epoch, gap.from_seq - 1, gap.to_seq, gap.reason)
