"""Whether a caller may publish this now: its rights, its end, and what it may use.

Asked only for callers that are bounded in some way. What is refused was not taken of any rate.
"""

from __future__ import annotations

from collections.abc import Sequence

from conduit.broker.publish.admission import size_of
from conduit.protocol.batch import path_of
from conduit.protocol.frames import PublishRequest
from conduit.server.context import Context
from conduit.tenancy.principal import Principal


def admit(context: Context, caller: Principal, request: PublishRequest) -> None:
    """One message. Raises Unauthenticated, Forbidden, RateLimited, LimitReached `payload_too_large`."""
    caller.check_publish(request.topic, context.wall_ms())
    meter = caller.meter
    if meter is None:
        return
    if meter.message_max_bytes is not None:
        meter.check_message(memoryview(request.payload).nbytes)
    if meter.is_metered:
        meter.admit_publish(1, size_of(request), context.broker.clock.now())


def admit_all(context: Context, caller: Principal, requests: Sequence[PublishRequest]) -> None:
    """A batch, all or none. Raises as `admit`."""
    now_ms = context.wall_ms()
    for topic in {request.topic for request in requests}:
        caller.check_publish(topic, now_ms)
    meter = caller.meter
    if meter is None:
        return
    if meter.message_max_bytes is not None:
        for index, request in enumerate(requests):
            meter.check_message(memoryview(request.payload).nbytes, f"{path_of(index)}payload")
    if meter.is_metered:
        size_bytes = sum(map(size_of, requests))
        meter.admit_publish(len(requests), size_bytes, context.broker.clock.now())
