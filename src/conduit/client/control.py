"""The control endpoints: topics, durable subscriptions, dead letters. One class for each noun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, TypedDict, Unpack

import msgspec

from conduit.client.models import (
    DeadLetter,
    DeadLetterFilter,
    DeadLetterJob,
    DeadLetterJobs,
    Subscription,
    Topic,
)
from conduit.client.pages import pages
from conduit.client.rest import Rest, address, decode
from conduit.client.starts import Start, start_spec
from conduit.names import check_new_subscription, check_pattern, check_topic
from conduit.protocol.records import (
    DeadLetterGroup,
    DeadLetterGroups,
    Moved,
    PurgeAnswer,
    Retention,
    SubscriptionCreated,
    SubscriptionList,
    SubscriptionTopics,
    TopicList,
    TopicProgress,
)
from conduit.protocol.subscriber_records import SubscribersAnswer

# One page of a list. Dead letters come with their payloads, of up to 256 KiB each.
PAGE_COUNT = 500
DEAD_LETTER_PAGE_COUNT = 50


class _DeadLetterPage(msgspec.Struct):
    dead_letters: list[DeadLetter]
    next: str | None = None


OnPurged = Callable[[int, int], None]


class Bounds(TypedDict, total=False):
    """What a topic keeps. What is left out stays as it is; None takes a bound away."""

    max_age_s: int | None
    max_messages: int | None
    max_bytes: int | None


class DurableSettings(TypedDict, total=False):
    """Settings of a durable subscription that may change; what is left out has the server's default, or stays
    as it is. `max_lost` None: however often connections are lost."""

    max_in_flight: int
    ack_wait_ms: int
    max_ack_wait_ms: int
    max_attempts: int
    max_lost: int | None


class Topics:
    """`/api/topics`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self, *, q: str | None = None) -> AsyncIterator[Topic]:
        """All topics, or those with `q` in their name, by name."""
        query = {"q": q, "limit": PAGE_COUNT}
        async for page in pages(self._rest, address("topics"), TopicList, query):
            for topic in page.topics:
                yield topic

    async def get(self, name: str) -> Topic:
        """One topic. Raises ApiError `topic_not_found`."""
        return await self._rest.get(address("topics", name), Topic)

    async def create(self, name: str, retention: Retention | Bounds | None = None) -> Topic:
        """Create a topic. Bounds that are None in a Retention, or left out of a dict, are the server's
        defaults; one that is None in a dict is no bound: `{"max_age_s": None}`.

        Raises ApiError `topic_exists`, `limit_reached`.
        """
        check_topic(name, "name")
        body: dict[str, object] = {"name": name}
        if isinstance(retention, Retention):
            bounds = msgspec.structs.asdict(retention)
            # A null on the wire would take the default bound away.
            body["retention"] = {key: bound for key, bound in bounds.items() if bound is not None}
        elif retention is not None:
            body["retention"] = retention
        return await self._rest.post(address("topics"), Topic, body)

    async def change(self, name: str, **bounds: Unpack[Bounds]) -> Topic:
        """Change what a topic keeps, within seconds. Raises ApiError `topic_not_found`."""
        body = {"retention": bounds}
        return decode(await self._rest.send("PATCH", address("topics", name), body), Topic)

    async def delete(self, name: str) -> None:
        """Delete a topic with its messages; its subscribers are disconnected."""
        await self._rest.send("DELETE", address("topics", name))

    async def purge(
        self, name: str, *, dry_run: bool = False, on_step: OnPurged | None = None
    ) -> int:
        """Remove all messages that are stored now; topic and subscriptions stay. Returns how many were
        removed, or with `dry_run` how many there are. `on_step` is told after each request how many are
        removed, and of how many. Raises ApiError `topic_not_found`, or `conflict` if the topic was made anew
        meanwhile."""
        where, count = address("topics", name, "purge"), 0
        body: dict[str, object] = {"dry_run": dry_run}
        while True:
            done = await self._rest.post(where, PurgeAnswer, body)
            if dry_run:
                return done.matched_count
            left_count = done.matched_count - done.purged_count if done.next is not None else 0
            count += done.purged_count
            if on_step is not None:
                on_step(count, count + left_count)
            if done.next is None:
                return count
            body["cursor"] = done.next


class Subscriptions:
    """`/api/subscriptions`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(
        self, *, q: str | None = None, topic: str | None = None
    ) -> AsyncIterator[Subscription]:
        """All durable subscriptions, or those with `q` in their name, by name. With `topic`, those that its
        messages go to, and in `topics` of each only that one."""
        query = {"q": q, "topic": topic, "limit": PAGE_COUNT}
        async for page in pages(self._rest, address("subscriptions"), SubscriptionList, query):
            for subscription in page.subscriptions:
                yield subscription

    async def get(self, name: str) -> Subscription:
        """One subscription. Raises ApiError `subscription_not_found`."""
        return await self._rest.get(address("subscriptions", name), Subscription)

    async def create(
        self,
        name: str,
        topic: str,
        *,
        start: Start = "new",
        ack: Literal["explicit", "auto"] = "explicit",
        order: Literal["publish", "strict"] = "publish",
        **settings: Unpack[DurableSettings],
    ) -> SubscriptionCreated:
        """Create a durable subscription on a topic or pattern before anyone attaches to it.

        Raises ApiError `subscription_exists`. `gaps` of the answer: what `start` cannot be given.
        """
        check_new_subscription(name, "name")
        check_pattern(topic)
        body = {
            "name": name,
            "topic": topic,
            "start": start_spec(start),
            "ack": ack,
            "order": order,
        }
        return await self._rest.post(
            address("subscriptions"), SubscriptionCreated, {**body, **settings}
        )

    async def change(self, name: str, **settings: Unpack[DurableSettings]) -> Subscription:
        """Change its settings; what is in flight keeps its deadlines. Raises ApiError
        `subscription_not_found`."""
        where = address("subscriptions", name)
        return decode(await self._rest.send("PATCH", where, settings), Subscription)

    async def topics(self, name: str) -> AsyncIterator[TopicProgress]:
        """How far it is in each of its topics, by name. Raises ApiError `subscription_not_found`."""
        where = address("subscriptions", name, "topics")
        async for page in pages(self._rest, where, SubscriptionTopics, {"limit": PAGE_COUNT}):
            for place in page.topics:
                yield place

    async def subscribers(self, name: str) -> SubscribersAnswer:
        """Who is attached to it, and at which nodes. Raises ApiError `subscription_not_found`, and
        `unavailable` while the node that has it cannot be reached."""
        return await self._rest.get(
            address("subscriptions", name, "subscribers"), SubscribersAnswer
        )

    async def delete(self, name: str) -> None:
        """Delete a subscription and its progress; its dead letters stay."""
        await self._rest.send("DELETE", address("subscriptions", name))

    async def pause(self, name: str) -> Subscription:
        """Stop delivering; messages go on being kept."""
        return await self._rest.post(address("subscriptions", name, "pause"), Subscription)

    async def resume(self, name: str) -> Subscription:
        """Deliver again."""
        return await self._rest.post(address("subscriptions", name, "resume"), Subscription)

    async def seek(self, name: str, start: Start, *, dry_run: bool = False) -> Moved:
        """Move the subscription; what was unsettled is forgotten. Returns the progress after it,
        or, with `dry_run`, as it would be, and what `start` asks for and cannot be given."""
        body = {"start": start_spec(start), "dry_run": dry_run}
        return await self._rest.post(address("subscriptions", name, "seek"), Moved, body)


ALL = DeadLetterFilter()


def _job_body(
    which: DeadLetterFilter | Sequence[str],
    rate_per_s: float | None,
    max_count: int | None,
    *,
    dry_run: bool,
) -> dict[str, object]:
    """What a job is asked for with."""
    limits = {"rate_per_s": rate_per_s, "max_count": max_count, "dry_run": dry_run or None}
    said = {name: value for name, value in limits.items() if value is not None}
    if isinstance(which, DeadLetterFilter):
        return {**msgspec.to_builtins(which), **said}
    return {"ids": list(which), **said}


def _together(newer: DeadLetterGroup, older: DeadLetterGroup) -> DeadLetterGroup:
    """Two parts of one group, which was asked for in pages."""
    return msgspec.structs.replace(
        newer,
        count=newer.count + older.count,
        redriven_count=newer.redriven_count + older.redriven_count,
        # A letter keeps its id when it dies again: the times of two pages may overlap.
        first_died_at=min(newer.first_died_at, older.first_died_at),
        last_died_at=max(newer.last_died_at, older.last_died_at),
    )


class DeadLetters:
    """`/api/dlq`"""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def find(self, which: DeadLetterFilter = ALL) -> AsyncIterator[DeadLetter]:
        """The dead letters that match, newest first, by when each died first: a redrive changes no place."""
        query = {**msgspec.to_builtins(which), "limit": DEAD_LETTER_PAGE_COUNT}
        async for page in pages(self._rest, address("dlq"), _DeadLetterPage, query):
            for letter in page.dead_letters:
                yield letter

    async def groups(self, which: DeadLetterFilter = ALL) -> list[DeadLetterGroup]:
        """Those that match, by topic and reason, the largest groups first."""
        found: dict[tuple[str, str], DeadLetterGroup] = {}
        where, query = address("dlq", "groups"), msgspec.to_builtins(which)
        async for page in pages(self._rest, where, DeadLetterGroups, query):
            for group in page.groups:
                place = group.topic, group.reason
                known = found.get(place)
                found[place] = group if known is None else _together(known, group)
        return sorted(found.values(), key=lambda group: (-group.count, group.topic, group.reason))

    async def get(self, dead_id: str) -> DeadLetter:
        """One dead letter. Raises ApiError `dead_letter_not_found`."""
        return await self._rest.get(address("dlq", dead_id), DeadLetter)

    async def discard(self, dead_id: str) -> None:
        """Delete one dead letter for good."""
        await self._rest.send("DELETE", address("dlq", dead_id))

    async def redrive(self, dead_id: str) -> DeadLetter:
        """Deliver it again to the subscription it died on, with attempts from 1."""
        return await self._rest.post(address("dlq", dead_id, "redrive"), DeadLetter)

    async def redrive_many(
        self,
        which: DeadLetterFilter | Sequence[str],
        *,
        rate_per_s: float | None = None,
        max_count: int | None = None,
        dry_run: bool = False,
    ) -> DeadLetterJob:
        """Redrive all that match, or those with these ids, at a rate, in the background of the server; `job`
        follows it. What is None has the server's default. With `dry_run` they are only counted."""
        body = _job_body(which, rate_per_s, max_count, dry_run=dry_run)
        return await self._rest.post(address("dlq", "redrive"), DeadLetterJob, body)

    async def discard_many(
        self,
        which: DeadLetterFilter | Sequence[str],
        *,
        rate_per_s: float | None = None,
        max_count: int | None = None,
        dry_run: bool = False,
    ) -> DeadLetterJob:
        """Delete them for good, as `redrive_many`. What dies after it has begun stays."""
        body = _job_body(which, rate_per_s, max_count, dry_run=dry_run)
        return await self._rest.post(address("dlq", "discard"), DeadLetterJob, body)

    async def jobs(self) -> DeadLetterJobs:
        """The jobs of the tenant at all nodes that answer: those that run first, then the newest first."""
        return await self._rest.get(address("dlq", "jobs"), DeadLetterJobs)

    async def job(self, job_id: str) -> DeadLetterJob:
        """The state of a job. Raises ApiError `job_not_found`."""
        return await self._rest.get(address("dlq", "jobs", job_id), DeadLetterJob)

    async def cancel(self, job_id: str) -> DeadLetterJob:
        """Stop a job; what it has done stays so."""
        body = await self._rest.send("DELETE", address("dlq", "jobs", job_id))
        return decode(body, DeadLetterJob)
