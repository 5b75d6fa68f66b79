"""The topics of all tenants in memory: found by name, id and pattern, and listed in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from conduit.broker.allowances import Allowance, Allowances
from conduit.core.activity import Activity
from conduit.core.message import TopicRecord
from conduit.core.sorted_names import SortedNames
from conduit.core.topics import TopicIndex, matcher, prefix_of
from conduit.errors import NotFound
from conduit.names import check_topic, is_pattern

# Names that one step of a walk looks at.
WALK_STEP_COUNT = 200


class Topic:
    """One topic as this node knows it. `last_seq` is the last number that was committed and seen here."""

    __slots__ = (
        "activity",
        "allowance",
        "created_at_ms",
        "delivered_count",
        "epoch",
        "epoch_bytes",
        "first_seq",
        "followers_told",
        "is_deleted",
        "last_seq",
        "marked_delivered_count",
        "marked_seq",
        "name",
        "name_bytes",
        "retention",
        "stored_bytes",
        "tenant",
        "topic_id",
    )

    def __init__(self, record: TopicRecord, allowance: Allowance) -> None:
        self.allowance = allowance
        """Its tenant's."""
        self.topic_id = record.topic_id
        self.tenant = record.tenant
        self.name = record.name
        self.epoch = record.epoch
        self.created_at_ms = record.created_at_ms
        self.first_seq = record.first_seq
        self.last_seq = record.last_seq
        self.stored_bytes = record.stored_bytes
        self.retention = record.retention
        # As they stand in frames: their grammar needs no JSON escapes.
        self.name_bytes = self.name.encode()
        self.epoch_bytes = self.epoch.encode()
        # Set while the store forgets it: what is missing in the log then is no gap.
        self.is_deleted = False
        self.delivered_count = 0
        """Deliveries here, redeliveries included."""
        # This and `last_seq` as of the last look; see activities.py.
        self.marked_delivered_count, self.marked_seq = 0, record.last_seq
        self.activity: Activity | None = None
        """How much went through it lately; None: nothing."""
        # Ids of the durable subscriptions that the store was told of with it: nobody else follows it there.
        self.followers_told: Collection[int] | None = None

    def now_holds(self, stored_bytes: int) -> None:
        """Its messages have so many bytes. Of one that is listed, which its tenant's count follows."""
        self.allowance.stored_bytes += stored_bytes - self.stored_bytes
        self.stored_bytes = stored_bytes

    def was_before(self, subscription_id: int) -> bool:
        """Whether the topic was deleted before the durable subscription was made."""
        return self.followers_told is not None and subscription_id not in self.followers_told


class Walked(NamedTuple):
    """One step of a walk: the topics among the names up to `reached`."""

    topics: Sequence[Topic]
    reached: str


class Topics:
    """What is known here. A topic that is being deleted is hidden: it has no name, and all else."""

    def __init__(self, allowances: Allowances) -> None:
        self.allowances = allowances
        # tenant -> name -> topic, and the same by patterns and in order.
        self._names: dict[str, dict[str, Topic]] = {}
        self._indexes: dict[str, TopicIndex[Topic]] = {}
        self._sorted: dict[str, SortedNames] = {}
        self._ids: dict[int, Topic] = {}

    # What changes ---------------------------------------------------------------------------------

    def _add(self, topic: Topic) -> None:
        self._names.setdefault(topic.tenant, {})[topic.name] = topic
        self._indexes.setdefault(topic.tenant, TopicIndex()).add(topic.name, topic)
        self._sorted.setdefault(topic.tenant, SortedNames()).add(topic.name)
        self._ids[topic.topic_id] = topic
        topic.allowance.topics.count += 1
        topic.allowance.stored_bytes += topic.stored_bytes

    def _hide(self, topic: Topic) -> None:
        topic.is_deleted = True
        self._names[topic.tenant].pop(topic.name, None)

    def _show(self, topic: Topic) -> None:
        topic.is_deleted, topic.followers_told = False, None
        self._names[topic.tenant][topic.name] = topic

    def _remove(self, topic: Topic) -> None:
        self._hide(topic)
        del self._ids[topic.topic_id]
        self._indexes[topic.tenant].remove(topic.name)
        self._sorted[topic.tenant].remove(topic.name)
        topic.allowance.topics.count -= 1
        topic.allowance.stored_bytes -= topic.stored_bytes

    # What is there --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, tenant: str, name: str) -> Topic | None:
        """The topic, or None; the name need not be valid."""
        names = self._names.get(tenant)
        return names.get(name) if names is not None else None

    def find_until_gone(self, tenant: str, name: str) -> Topic | None:
        """The topic, also while it is being deleted: the store may yet answer that it was not."""
        index = self._indexes.get(tenant)
        return None if index is None else next(index.match(name), None)

    def by_id(self, topic_id: int) -> Topic | None:
        """The topic with this id, if it still exists."""
        return self._ids.get(topic_id)

    def get(self, tenant: str, name: str, field: str = "topic") -> Topic:
        """The topic. Raises InvalidRequest `invalid_topic` or NotFound `topic_not_found`, naming `field`."""
        topic = self.find(tenant, name)
        if topic is None:
            check_topic(name, field)
            raise NotFound(f"topic {name!r} does not exist", code="topic_not_found", field=field)
        return topic

    def matching(self, tenant: str, pattern: str) -> list[Topic]:
        """The existing topics of a pattern, or the one of this name. What it costs follows from their
        number, not from that of all topics."""
        if not is_pattern(pattern):
            topic = self.find(tenant, pattern)
            return [] if topic is None else [topic]
        index = self._indexes.get(tenant)
        return [] if index is None else list(index.match(pattern))

    def everywhere(self) -> list[Topic]:
        """Every topic of every tenant; for housekeeping only."""
        return list(self._ids.values())

    async def page(
        self,
        tenant: str,
        *,
        q: str | None,
        limit: int,
        after: str | None,
        is_meant: Callable[[str], bool] | None = None,
    ) -> list[Topic]:
        """By name: those that contain `q` and come after `after`, if they are meant; None: all are. What is
        searched takes as many turns of the loop as it needs."""
        page: list[Topic] = []
        for names in self._sorted.get(tenant, SortedNames()).containing(q or "", after):
            # One that is being deleted has a name and is not found.
            found = (
                self.find(tenant, name) for name in names if is_meant is None or is_meant(name)
            )
            page += islice((topic for topic in found if topic is not None), limit - len(page))
            if len(page) == limit:
                break
            await asyncio.sleep(0)
        return page

    def walk(self, tenant: str, pattern: str, after: str | None = None) -> Iterator[Walked]:
        """The topics of a pattern that come after `after`, by name, in short steps. In between others may
        have their turns: each step gives what is there then. One that is being deleted is there until the
        store has answered."""
        index = self._indexes.get(tenant, TopicIndex())
        if not is_pattern(pattern):
            is_ahead = after is None or pattern > after
            yield Walked(list(index.match(pattern)) if is_ahead else [], pattern)
            return
        is_meant, prefix = matcher(pattern), prefix_of(pattern)
        names = self._sorted.get(tenant, SortedNames())
        while some := names.after(after, WALK_STEP_COUNT, prefix):
            topics = [
                self.find(tenant, name) or next(index.match(name))
                for name in some
                if is_meant(name)
            ]
            after = some[-1]
            yield Walked(topics, after)
