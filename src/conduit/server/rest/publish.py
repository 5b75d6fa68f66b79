"""`POST /api/publish` and `/api/publish/batch`, where the fast path leaves them to the application.

It does so with whatever is not the plain request: a query string, another method. What is refused before
the broker is asked is counted where it is answered (problems.py); once it `is_told`, the broker counts.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Header, Request, Response
from pydantic import Field

from conduit.broker.publish.traced import carried
from conduit.broker.waiting import result_of
from conduit.core.trace_context import TRACEPARENT, TRACESTATE
from conduit.names import KEY_SCHEMA
from conduit.protocol.batch import decode_publish_batch
from conduit.protocol.codec import decode_publish, encode_json
from conduit.protocol.frames import PublishBatchRequest, PublishRequest
from conduit.protocol.records import BatchAnswer, Receipt
from conduit.server.admitting import admit, admit_all
from conduit.server.rest.access import Publishing
from conduit.server.rest.inputs import NO_QUERY, Shared
from conduit.server.rest.replies import JSON, answers
from conduit.server.rest.routing import routes

router = routes("/api/publish", "publish")


def _body(shape: type) -> dict[str, Any]:
    """The document of a body that the wire codec decodes."""
    schema = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _trace(request: Request) -> tuple[str, str] | None:
    """As `Head.trace`; what came by the front has none here."""
    parents = request.headers.getlist(TRACEPARENT)
    return (",".join(parents), ",".join(request.headers.getlist(TRACESTATE))) if parents else None


@router.post(
    "",
    dependencies=[NO_QUERY],
    responses=answers(
        Receipt,
        "invalid_topic",
        "json_too_deep",
        "topic_not_found",
        "payload_too_large",
        "idempotency_conflict",
        "overloaded",
        "store_unavailable",
        "outcome_unknown",
    ),
    openapi_extra=_body(PublishRequest),
)
async def publish(
    shared: Shared,
    caller: Publishing,
    request: Request,
    idempotency_key: Annotated[
        Annotated[str, Field(json_schema_extra=KEY_SCHEMA)] | None, Header()
    ] = None,
) -> Response:
    """Publish one message. The idempotency key may come in the header `Idempotency-Key` instead."""
    message = decode_publish(await request.body(), idempotency_key)
    admit(shared, caller, message)
    if given := _trace(request):
        message = carried(shared.broker.traces, message, given)
    request.state.is_told = True
    receipt = await result_of(partial(shared.broker.publish, caller.tenant, message))
    return Response(encode_json(receipt), media_type=JSON)


@router.post(
    "/batch",
    dependencies=[NO_QUERY],
    responses=answers(
        BatchAnswer,
        "invalid_topic",
        "json_too_deep",
        "topic_not_found",
        "payload_too_large",
        "idempotency_conflict",
        "overloaded",
        "store_unavailable",
        "outcome_unknown",
    ),
    openapi_extra=_body(PublishBatchRequest),
)
async def publish_batch(shared: Shared, caller: Publishing, request: Request) -> Response:
    """Publish up to 1,000 messages in one commit, all or nothing."""
    batch = decode_publish_batch(await request.body(), shared.limits.max_batch_count)
    admit_all(shared, caller, batch.messages)
    messages = batch.messages
    if given := _trace(request):
        messages = [carried(shared.broker.traces, each, given) for each in messages]
    request.state.is_told = True
    receipts = await result_of(partial(shared.broker.publish_batch, caller.tenant, messages))
    return Response(encode_json(BatchAnswer(receipts)), media_type=JSON)
