"""Where a subscription begins: the client's `start` checked, and turned into numbers."""

from __future__ import annotations

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.core.topics import matches
from conduit.errors import InvalidRequest
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import Gap, StartAt, StartPosition, StartSpec
from conduit.storage.base import Start, Store

# Topics that one `positions` may name.
POSITIONS_MAX_COUNT = 10_000


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


def check_start(pattern: str, spec: StartSpec | None) -> None:
    """Raise InvalidRequest for a `start` that makes no sense for the pattern."""
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
    for name, position in positions.items():
        _check_seq(position.seq, f"start.positions.{name}.seq")
        if not matches(pattern, name):
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
    if seq is not None and not 1 <= seq <= 1 << 53:
        raise InvalidRequest(f"{field} must be 1 or more", field=field)


class Starts:
    """Turns starts into numbers. A pattern is one question to the store, however many topics it has."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    async def begin(self, tenant: str, pattern: str, spec: StartSpec | None) -> Beginning:
        """What `spec` means for the existing topics of `pattern`. Raises InvalidRequest, StoreUnavailable."""
        check_start(pattern, spec)
        if spec is None or spec == "new":
            return Beginning(Start(), {}, [], None)
        if spec == "earliest":
            start = Start(earliest=True)
            return Beginning(start, await self._floors(tenant, pattern, start), [], None, True)
        assert isinstance(spec, StartAt)
        topics = self._catalog.matching(tenant, pattern)
        if spec.seq is not None:
            wanted = StartPosition(spec.seq, spec.epoch)
            found = await self._at_positions(tenant, {topic.name: wanted for topic in topics})
            return _with_start(found, topics)
        floors: dict[int, int] = {}
        if spec.time is not None:
            start = Start(time_ms=_time_ms(spec.time))
            floors = await self._floors(tenant, pattern, start)
            if spec.positions is None:
                return Beginning(start, floors, [], None, True)
        since_ms = None if spec.time is None else _time_ms(spec.time)
        found = await self._at_positions(tenant, spec.positions or {}, since_ms)
        found.floors = floors | found.floors
        found.takes_all = spec.time is not None
        return _with_start(found, topics)

    async def _floors(self, tenant: str, pattern: str, start: Start) -> dict[int, int]:
        return dict(await self._store.positions(tenant, pattern, start))

    async def _at_positions(
        self, tenant: str, positions: dict[str, StartPosition], since_ms: int | None = None
    ) -> Beginning:
        beginning = Beginning(Start(), {}, [], True)
        wanted: dict[int, int] = {}
        for name, position in positions.items():
            topic = self._catalog.find(tenant, name)
            if topic is None:
                # The topic is gone, and with it the numbering that the position belongs to.
                beginning.gaps.append(Gap(name, position.seq, None, "epoch_changed", ""))
                continue
            floor, gap = _floor(topic, position, since_ms)
            beginning.floors[topic.topic_id] = floor
            if gap is not None:
                beginning.gaps.append(gap)
            else:
                wanted[topic.topic_id] = position.seq
        beginning.recovered = not beginning.gaps and await self._are_there(wanted)
        return beginning

    async def _are_there(self, wanted: dict[int, int]) -> bool:
        """Whether every topic can begin with its number: it is in the log, or still to come. If not, the
        cursor finds and tells the gap when it reads the log."""
        extents = await self._store.extents(tuple(wanted)) if wanted else []
        first_seqs = {extent.topic_id: extent.first_seq for extent in extents}
        return all(seq >= first_seqs.get(topic_id, 1) for topic_id, seq in wanted.items())


def _with_start(beginning: Beginning, topics: list[Topic]) -> Beginning:
    """Say the floors to the store as well; topics without one begin at `new`."""
    names = {topic.topic_id: topic.name for topic in topics}
    seqs = {
        names[topic_id]: floor + 1
        for topic_id, floor in beginning.floors.items()
        if topic_id in names
    }
    beginning.start = Start(positions=seqs)
    return beginning


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
