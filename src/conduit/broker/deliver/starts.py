"""Where a subscription begins: the client's `start` checked, and turned into numbers."""

from __future__ import annotations

import msgspec

from conduit.broker.catalog import Topic
from conduit.broker.deliver.router import Hub
from conduit.core.topics import matches
from conduit.errors import InvalidRequest
from conduit.protocol.codec import parse_time
from conduit.protocol.frames import Gap, StartAt, StartPosition, StartSpec
from conduit.storage.base import Start

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


async def begin(hub: Hub, tenant: str, pattern: str, spec: StartSpec | None) -> Beginning:
    """What `spec` means for the existing topics of `pattern`. Raises InvalidRequest, StoreUnavailable."""
    check_start(pattern, spec)
    if spec is None or spec == "new":
        return Beginning(Start(), {}, [], None)
    topics = hub.matching(tenant, pattern)
    if spec == "earliest":
        floors = {topic.topic_id: topic.first_seq - 1 for topic in topics}
        return Beginning(Start(earliest=True), floors, [], None)
    assert isinstance(spec, StartAt)
    if spec.seq is not None:
        wanted = StartPosition(spec.seq, spec.epoch)
        found = await _at_positions(hub, tenant, {topic.name: wanted for topic in topics})
        return _with_start(found, topics)
    floors = await _at_time(hub, topics, spec.time)
    if spec.positions is None:
        return Beginning(Start(time_ms=_time_ms(spec.time or "")), floors, [], None)
    found = await _at_positions(hub, tenant, spec.positions)
    found.floors = floors | found.floors
    return _with_start(found, topics)


def _with_start(beginning: Beginning, topics: list[Topic]) -> Beginning:
    """Say the floors to the store as well; topics without one begin at `new`."""
    names = {topic.topic_id: topic.name for topic in topics}
    seqs = {names[topic_id]: floor + 1 for topic_id, floor in beginning.floors.items()}
    beginning.start = Start(positions=seqs)
    return beginning


async def _at_time(hub: Hub, topics: list[Topic], time: str | None) -> dict[int, int]:
    if time is None:
        return {}
    time_ms = _time_ms(time)
    return {topic.topic_id: await hub.store.seq_at(topic.topic_id, time_ms) - 1 for topic in topics}


async def _at_positions(hub: Hub, tenant: str, positions: dict[str, StartPosition]) -> Beginning:
    beginning = Beginning(Start(), {}, [], True)
    for name, position in positions.items():
        topic = hub.catalog.find(tenant, name)
        if topic is None:
            # The topic is gone, and with it the numbering that the position belongs to.
            beginning.gaps.append(Gap(name, position.seq, None, "epoch_changed", ""))
            continue
        floor, gap = _floor(topic, position)
        beginning.floors[topic.topic_id] = floor
        if gap is not None:
            beginning.gaps.append(gap)
        elif not await _is_there(hub, topic, position.seq):
            # The stream itself will find and tell this gap when it reads the log.
            beginning.recovered = False
    if beginning.gaps:
        beginning.recovered = False
    return beginning


async def _is_there(hub: Hub, topic: Topic, seq: int) -> bool:
    """Whether the stream can begin with this number: it is still to come, or in the tail or the log."""
    if seq > topic.last_seq or (topic.feed is not None and topic.feed.slice(seq, 1, None)):
        return True
    found = await hub.store.read(topic.topic_id, seq, limit=1)
    return bool(found) and found[0].seq == seq


def _floor(topic: Topic, position: StartPosition) -> tuple[int, Gap | None]:
    if position.epoch is not None and position.epoch != topic.epoch:
        gap = Gap(topic.name, position.seq, None, "epoch_changed", topic.epoch)
        return topic.first_seq - 1, gap
    following = topic.last_seq + 1
    if position.seq > following:
        gap = Gap(topic.name, following, position.seq - 1, "log_lost", topic.epoch)
        return topic.last_seq, gap
    return position.seq - 1, None
