"""The server as one of several nodes that share no log: without a database, with Redis and the nodes'
secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from conduit import redis_url
from conduit.cluster.answering import Answering
from conduit.cluster.comparing import Comparing
from conduit.cluster.hints import MESSAGE_MAX_BYTES
from conduit.cluster.links.handshake import Identity
from conduit.cluster.this_node import ThisNode
from conduit.core.members import Member
from conduit.server.alike import alike
from conduit.server.context import Context
from conduit.settings import Settings

if TYPE_CHECKING:
    from conduit.cluster.apart.meeting import Meeting

logger = logging.getLogger(__name__)


async def meet_others(context: Context, node: ThisNode, settings: Settings) -> Meeting:
    """Have this node find the others, and link with them. `settings.meets_in_redis` holds, the broker has
    started, and nobody has subscribed yet. `stop` what is returned when the broker has finished. Raises
    ConfigError if another node that lives has the name of this one, which takes a second or two to know."""
    # Not on top: it takes redis-py, which a server without Redis can do without.
    from conduit.cluster.apart.meeting import Meeting

    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    own = node.node
    member = Member(
        name=own.name,
        incarnation=own.incarnation,
        address=own.address,
        version=own.version,
        since_ms=context.broker.clock.wall_ms(),
    )
    meeting = Meeting(
        context.broker, member, settings.internal_secrets, url, redis_url.database(url)
    )
    await meeting.claim()
    context.own_state.settings = alike(settings)
    meeting.comparing = Comparing(meeting.links, context.own_state.settings)
    meeting.answering = Answering(Identity(own.name, own.incarnation), context.own_state)
    context.meeting, context.links, context.hearing = meeting, meeting.links, meeting.copying
    node.others = meeting.views
    logger.info("this node is reached by the others at %s", own.address)
    if settings.max_payload_bytes > MESSAGE_MAX_BYTES:
        logger.warning(
            "CONDUIT_MAX_PAYLOAD_BYTES is %d: messages of more than %d bytes, with key and headers, reach"
            " only the subscribers at the node that they are published at",
            settings.max_payload_bytes,
            MESSAGE_MAX_BYTES,
        )
    await meeting.start()
    return meeting
