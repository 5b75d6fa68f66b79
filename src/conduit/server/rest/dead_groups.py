"""`/api/dlq/groups`: dead letters by topic and reason"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from conduit.names import time_of
from conduit.protocol.codec import format_time
from conduit.protocol.records import DeadLetterGroup, DeadLetterGroups
from conduit.server.rest.access import Managing, seen_patterns
from conduit.server.rest.dead_letters import GroupQuery, filter_of
from conduit.server.rest.inputs import Shared, decode_cursor, encode_cursor
from conduit.server.rest.replies import answers, reply
from conduit.server.rest.routing import routes
from conduit.storage.dead_letters import DeadGroup

router = routes("/api/dlq", "dead letters")


@router.get("/groups", responses=answers(DeadLetterGroups, "overloaded"))
async def group_dead_letters(
    shared: Shared, caller: Managing, query: Annotated[GroupQuery, Query()]
) -> Response:
    """Count dead letters by topic and reason, the largest groups first. A key for some topics is told of
    those alone.

    It ends three seconds after its turn has come, or with a thousand groups and more, with `searched_to` and
    `next`. What comes with `next` is of those that died before: the counts of one group are to be added.
    """
    patterns = seen_patterns(caller, query.topic)
    before_id = decode_cursor("dead_groups", query.cursor)
    dead_letters = shared.broker.dead_letters
    which = filter_of(query, redriven=query.redriven, patterns=patterns)
    found = await dead_letters.groups(caller.tenant, which, before_id)
    following = searched_to = None
    if found.before_id is not None:
        following = encode_cursor("dead_groups", found.before_id)
        searched_to = format_time(time_of(found.before_id))
    return reply(
        DeadLetterGroups([_shown(group) for group in found.groups], following, searched_to)
    )


def _shown(group: DeadGroup) -> DeadLetterGroup:
    return DeadLetterGroup(
        topic=group.topic,
        reason=group.reason,
        count=group.count,
        redriven_count=group.redriven_count,
        first_died_at=format_time(group.first_ms),
        last_died_at=format_time(group.last_ms),
        sample_id=group.newest_id,
    )
