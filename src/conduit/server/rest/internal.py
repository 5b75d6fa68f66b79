"""`POST /internal/forward`: another node tells of messages that it has stored.

Nodes of this version tell each other over links; this does the same for whoever knows this address. Who asks
has proved that it has the secret. What is told is in the log that all share: nothing is stored here. Where
each node has its own, it is stored here too, under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from fastapi import Request, Response

from conduit.cluster.hints import Told
from conduit.core.message import Hinted
from conduit.errors import Conflict, InvalidRequest, LimitReached
from conduit.names import DEFAULT_TENANT, check_key, check_topic, is_id
from conduit.protocol.batch import check_batch_count, path_of
from conduit.protocol.codec import decode_strictly, encode_json, parse_time
from conduit.protocol.frames import SEQ_MAX
from conduit.server.context import Limits
from conduit.server.rest.inputs import NO_QUERY, Shared
from conduit.server.rest.replies import reply
from conduit.server.rest.routing import routes

# For what is stored here anew, at a time of its own.
EPOCH = "1970-01-01T00:00:00Z"

router = routes()


class _Message(msgspec.Struct, kw_only=True):
    """One message. Without its number and all that a subscriber gets, it says only that there is something in
    its topic; but nodes that share no log need neither number, epoch nor time of another one."""

    topic: str | None = None
    tenant: str = DEFAULT_TENANT
    message_id: str | None = None
    payload: msgspec.Raw = msgspec.Raw()
    published_at: str | None = None
    seq: int | None = None
    epoch: str | None = None
    key: str | None = None
    headers: dict[str, str] | None = None


class _Body(_Message, kw_only=True):
    """One message, or several."""

    messages: list[_Message] | None = None


class _Heard(msgspec.Struct, frozen=True):
    """The answer."""

    messages: int


_decode = msgspec.json.Decoder(_Body).decode


@router.post("/internal/forward", dependencies=[NO_QUERY])
async def forward(shared: Shared, request: Request) -> Response:
    """Hear of messages that another node has stored."""
    if shared.hearing is None:
        raise Conflict("this node shares its log with no other: messages are not forwarded to it")
    body = decode_strictly(await request.body(), _decode)
    if body.messages is None:
        messages: list[_Message] = [body]
        paths: Iterable[str] = [""]
    else:
        messages = body.messages
        check_batch_count(len(messages), shared.limits.max_batch_count)
        paths = map(path_of, range(len(messages)))
    told = [
        _told(each, path, shared.limits, shares_log=shared.hearing.shares_log)
        for each, path in zip(messages, paths, strict=False)
    ]
    for each, what in zip(messages, told, strict=True):
        if what is not None:
            shared.hearing.offer(what)
        else:
            await shared.hearing.look(each.tenant, each.topic or "")
    return reply(_Heard(len(messages)))


def _told(message: _Message, path: str, limits: Limits, *, shares_log: bool) -> Told | None:
    """What it says, or None if that is only that there is something. Raises InvalidRequest, LimitReached."""
    topic = check_topic(message.topic or "", f"{path}topic")
    at, seq, epoch = message.published_at, message.seq, message.epoch
    if not shares_log:
        at, seq, epoch = at or EPOCH, seq or 1, epoch or ""
    if at is None or seq is None or epoch is None or message.message_id is None:
        return None
    payload = bytes(message.payload)
    if not is_id(message.message_id):
        raise InvalidRequest("message_id must be a UUID", field=f"{path}message_id")
    if not 1 <= seq <= SEQ_MAX:
        raise InvalidRequest(f"seq must be 1 to {SEQ_MAX}", field=f"{path}seq")
    if len(payload) > limits.max_payload_bytes:
        raise LimitReached(
            f"payload has {len(payload)} bytes, the limit is {limits.max_payload_bytes}",
            code="payload_too_large",
            field=f"{path}payload",
        )
    hinted = Hinted(
        message.message_id,
        _time_ms(at, f"{path}published_at"),
        payload or b"null",
        None if message.key is None else check_key(message.key, f"{path}key"),
        encode_json(message.headers) if message.headers else None,
    )
    return Told(message.tenant, topic, epoch, seq, [hinted])


def _time_ms(text: str, field: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidRequest(f"{field} {error}", field=field) from error
