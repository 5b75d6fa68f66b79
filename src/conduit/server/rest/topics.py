"""`/api/topics`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import Query, Response
from pydantic import Field

from conduit.broker.administer.purging import Extent
from conduit.broker.catalog import Topic
from conduit.cluster.inquiries import SUBSCRIBERS, Question
from conduit.core.message import Retention, TopicRecord
from conduit.errors import InvalidRequest
from conduit.names import TOPIC_SCHEMA
from conduit.protocol import records
from conduit.protocol.codec import format_time
from conduit.protocol.records import PurgeAnswer, TopicAnswer, TopicList
from conduit.server.rest.access import From, Managing, Reading, readable
from conduit.server.rest.inputs import (
    NO_QUERY,
    Body,
    Page,
    Shared,
    Text,
    TopicName,
    cut_page,
    decode_cursor,
    encode_cursor,
)
from conduit.server.rest.replies import answers, fails, reply
from conduit.server.rest.routing import routes

router = routes("/api/topics", "topics")

# Of a number in a cursor.
SEQ_MAX_DIGITS = 16

Bound = Annotated[int, Field(ge=1, le=1 << 53)] | None


class RetentionBody(Body):
    """What a topic keeps; null takes a bound away, and what is left out stays as it is."""

    max_age_s: Bound = None
    max_messages: Bound = None
    max_bytes: Bound = None

    def over(self, base: Retention) -> Retention:
        """The bounds that were given, in place of those of `base`."""
        return msgspec.structs.replace(base, **self.model_dump(exclude_unset=True))


class NewTopic(Body):
    """Bounds that are left out are the node's defaults."""

    name: str = Field(json_schema_extra=TOPIC_SCHEMA)
    retention: RetentionBody = RetentionBody()


class TopicChange(Body):
    """What to change of a topic."""

    retention: RetentionBody


class Purge(Body):
    """What to remove: everything that is stored now, or what is left of it. `dry_run` only counts."""

    cursor: str | None = Field(None, description="`next` of the purge before.")
    dry_run: bool = False


class TopicQuery(Page):
    """Which topics to list."""

    q: Text | None = Field(None, description="A part of the name.")


async def show(shared: Shared, *topics: Topic) -> list[TopicAnswer]:
    """Topics of one tenant as they are answered, as the log has them now."""
    fresh = await shared.broker.tails.fresh(topics)
    return await _shown(shared, topics, [fresh.get(topic.topic_id, topic) for topic in topics])


async def _shown(
    shared: Shared, topics: Sequence[Topic], found: Sequence[Topic | TopicRecord]
) -> list[TopicAnswer]:
    """Topics, and what is known of them; other nodes are asked for their subscribers."""
    if not topics:
        return []
    tenant, names = topics[0].tenant, [topic.name for topic in topics]
    question = Question(tenant=tenant, names=names)
    others = await shared.asking.all(SUBSCRIBERS, question)
    every = [shared.own_state.subscribers(tenant, names), *others.said.values()]
    counts = map(sum, zip(*every, strict=True))
    shown = zip(topics, found, counts, strict=True)
    return [_answer(*each, len(others.unanswered)) for each in shown]


def _answer(
    topic: Topic, found: Topic | TopicRecord, subscriber_count: int, unanswered_count: int
) -> TopicAnswer:
    return TopicAnswer(
        name=topic.name,
        subscriber_count=subscriber_count,
        message_count=found.last_seq,
        created_at=format_time(topic.created_at_ms),
        first_seq=found.first_seq,
        last_seq=found.last_seq,
        epoch=found.epoch,
        stored_bytes=found.stored_bytes,
        retention=_bounds(found.retention),
        unanswered_count=unanswered_count,
    )


def _bounds(retention: Retention) -> records.Retention:
    return records.Retention(retention.max_age_s, retention.max_messages, retention.max_bytes)


@router.get("", responses=answers(TopicList))
async def list_topics(
    shared: Shared, caller: Reading, query: Annotated[TopicQuery, Query()]
) -> Response:
    """List topics by name."""
    after = decode_cursor("topics", query.cursor)
    topics = await shared.broker.topics.page(
        caller.tenant, q=query.q, limit=query.limit + 1, after=after, is_meant=readable(caller)
    )
    page, following = cut_page(topics, query.limit, "topics", lambda topic: topic.name)
    defaults = _bounds(shared.default_retention)
    return reply(TopicList(await show(shared, *page), following, defaults))


@router.post(
    "",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(TopicAnswer, "invalid_topic", "topic_exists", "limit_reached", status=201),
)
async def create_topic(shared: Shared, caller: Managing, body: NewTopic) -> Response:
    """Create a topic."""
    caller.check(("manage",), body.name)
    retention = body.retention.over(shared.default_retention)
    topic = await shared.broker.topics.create(caller.tenant, body.name, retention)
    [shown] = await _shown(shared, [topic], [topic])
    return reply(shown, 201)


@router.get("/{name}", dependencies=[NO_QUERY], responses=answers(TopicAnswer, "topic_not_found"))
async def get_topic(shared: Shared, caller: Reading, name: TopicName) -> Response:
    """Look at one topic."""
    caller.check(("manage", "subscribe"), name)
    [shown] = await show(shared, shared.broker.topics.get(caller.tenant, name))
    return reply(shown)


@router.patch("/{name}", dependencies=[NO_QUERY], responses=answers(TopicAnswer, "topic_not_found"))
async def change_topic(
    shared: Shared, caller: Managing, origin: From, name: TopicName, body: TopicChange
) -> Response:
    """Change what a topic keeps; takes effect within seconds."""
    caller.check(("manage",), name)
    topics = shared.broker.topics
    retention = body.retention.over(topics.get(caller.tenant, name).retention)
    async with shared.audit.if_unsure(caller, origin, "topic.change", name):
        topic = await topics.update(caller.tenant, name, retention)
    told = msgspec.to_builtins(retention)
    await shared.audit.done(caller, origin, "topic.change", name, retention=told)
    [shown] = await _shown(shared, [topic], [topic])
    return reply(shown)


@router.delete(
    "/{name}", status_code=204, dependencies=[NO_QUERY], responses=fails("topic_not_found")
)
async def delete_topic(shared: Shared, caller: Managing, origin: From, name: TopicName) -> Response:
    """Delete a topic with its messages and disconnect its subscribers."""
    caller.check(("manage",), name)
    async with shared.audit.if_unsure(caller, origin, "topic.delete", name):
        await shared.broker.topics.delete(caller.tenant, name)
    await shared.audit.done(caller, origin, "topic.delete", name)
    return Response(status_code=204)


@router.post(
    "/{name}/purge",
    dependencies=[NO_QUERY],
    responses=answers(PurgeAnswer, "topic_not_found", "conflict", "overloaded"),
)
async def purge_topic(
    shared: Shared, caller: Managing, origin: From, name: TopicName, body: Purge
) -> Response:
    """Remove all messages that are stored now; the topic stays, with its numbering and its subscriptions.

    It ends after three seconds. If there is more, `next` is set: repeat the request with it as `cursor`. What
    is published in the meantime is newer, and stays.
    """
    caller.check(("manage",), name)
    purger, extent = shared.broker.purger, _extent(body.cursor)
    if body.dry_run:
        done = await purger.count(caller.tenant, name)
    else:
        async with shared.audit.if_unsure(caller, origin, "topic.purge", name):
            done = await purger.purge(caller.tenant, name, extent)
        told = {"through_seq": done.extent.through_seq, "purged_count": done.purged_count}
        await shared.audit.done(caller, origin, "topic.purge", name, **told)
    through_seq, epoch = done.extent.through_seq, done.extent.epoch
    following = None if done.is_done else encode_cursor("purge", f"{through_seq}@{epoch}")
    return reply(PurgeAnswer(done.matched_count, done.purged_count, through_seq, following))


def _extent(cursor: str | None) -> Extent | None:
    """What the purge that gave the cursor meant. Raises InvalidRequest naming `cursor`."""
    place = decode_cursor("purge", cursor)
    if place is None:
        return None
    through, _, epoch = place.partition("@")
    if not (through.isascii() and through.isdecimal()) or len(through) > SEQ_MAX_DIGITS:
        raise InvalidRequest("cursor was not given out by a purge", field="cursor")
    return Extent(int(through), epoch)
