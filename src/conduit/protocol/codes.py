"""One table of codes: what each means over HTTP, over WebSocket, and whether trying again can help."""

from __future__ import annotations

import msgspec


class Code(msgspec.Struct, frozen=True):
    """What one error code means. `close` is set for codes that end a WebSocket connection."""

    status: int
    title: str
    retryable: bool = False
    close: int | None = None


# Close codes. 4000–4499: connect again; 4500–4999: do not.
CLOSE_NORMAL = 1000
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_UNSUPPORTED = 1003
CLOSE_INVALID_TEXT = 1007
CLOSE_TOO_BIG = 1009
CLOSE_INTERNAL = 1011
CLOSE_RESTART = 1012
CLOSE_TRY_LATER = 1013
CLOSE_TOPIC_DELETED = 4001
CLOSE_SLOW = 4008
CLOSE_MOVED = 4009
CLOSE_LATE = 4408
CLOSE_UNAUTHENTICATED = 4501
CLOSE_FORBIDDEN = 4503
CLOSE_OVER_LIMIT = 4529

# A side that gets one of these has sent what no client or server may send.
BROKEN_WIRE = frozenset(
    [
        CLOSE_PROTOCOL_ERROR,
        CLOSE_UNSUPPORTED,
        CLOSE_INVALID_TEXT,
        CLOSE_TOO_BIG,
        CLOSE_OVER_LIMIT,
    ]
)

CODES: dict[str, Code] = {
    # The request itself
    "malformed_json": Code(400, "The body is not valid JSON"),
    "json_too_deep": Code(400, "The JSON is nested too deeply"),
    "invalid_request": Code(400, "A value has the wrong type, form or range"),
    "unknown_field": Code(400, "The request has a field that does not exist"),
    "unknown_frame_type": Code(400, "No frame has this type"),
    "invalid_topic": Code(400, "Not a topic name"),
    "invalid_pattern": Code(400, "Not a pattern"),
    "invalid_name": Code(400, "Not a name"),
    "unauthenticated": Code(
        401, "No credential that counts was given", close=CLOSE_UNAUTHENTICATED
    ),
    "forbidden": Code(403, "That is not allowed"),
    "not_found": Code(404, "Nothing is at this address"),
    "method_not_allowed": Code(405, "The address does not take this method"),
    "request_timeout": Code(408, "The request did not arrive in time", retryable=True),
    "payload_too_large": Code(413, "The body or payload is over the limit"),
    "unsupported_media_type": Code(415, "The body is not JSON, or has a content coding"),
    "headers_too_large": Code(431, "The request's headers are over the limit"),
    "upgrade_required": Code(426, "The address speaks WebSocket version 13"),
    # Topics and messages
    "topic_not_found": Code(404, "The topic does not exist"),
    "topic_exists": Code(409, "The topic exists already"),
    "message_not_found": Code(404, "No such message is stored"),
    "idempotency_conflict": Code(409, "The idempotency key stands for another payload"),
    # Subscriptions and deliveries
    "subscription_not_found": Code(404, "The subscription does not exist"),
    "subscription_exists": Code(409, "The subscription exists already"),
    "subscription_conflict": Code(409, "The subscription exists with other settings"),
    "already_subscribed": Code(409, "This connection has that subscription already"),
    "not_subscribed": Code(409, "This connection has no such subscription"),
    "subscription_full": Code(429, "Too many of its deliveries wait for their next attempt"),
    "unknown_delivery": Code(404, "No unsettled delivery of that message is known here"),
    "stale_attempt": Code(409, "The attempt is over: the message was handed out again"),
    # Dead letters
    "dead_letter_not_found": Code(404, "No such dead letter is kept"),
    "job_not_found": Code(404, "No such job"),
    "letter_topic_gone": Code(409, "The dead letter's topic was deleted"),
    "already_redriven": Code(409, "The dead letter was redriven already"),
    "payload_lost": Code(409, "The dead letter is without its message"),
    "conflict": Code(409, "The state of the thing forbids it"),
    # Tenants and keys
    "tenant_not_found": Code(404, "The tenant does not exist"),
    "tenant_exists": Code(409, "The tenant exists already"),
    "tenant_not_empty": Code(409, "The tenant still has topics or subscriptions"),
    "key_not_found": Code(404, "The key does not exist"),
    # Nodes
    "node_not_found": Code(404, "The node does not exist"),
    "node_unreachable": Code(503, "The node cannot be reached, or does not answer", retryable=True),
    "draining": Code(503, "The node is draining, or was drained", retryable=True),
    # Bounds
    "limit_reached": Code(403, "A limit is reached"),
    "rate_limited": Code(429, "More than may be in a second", retryable=True),
    # The server
    "unavailable": Code(503, "The server cannot serve this now", retryable=True),
    "overloaded": Code(503, "More waits than can be done in time", retryable=True),
    "store_unavailable": Code(503, "The store cannot be used now", retryable=True),
    "outcome_unknown": Code(503, "It is not known yet whether it was stored", retryable=True),
    "shutting_down": Code(503, "The server is stopping", retryable=True, close=CLOSE_RESTART),
    "internal": Code(500, "The server made an error", close=CLOSE_INTERNAL),
    "config": Code(500, "The settings cannot be used"),
    # The wire; each closes the connection
    "protocol_error": Code(400, "The WebSocket protocol was broken", close=CLOSE_PROTOCOL_ERROR),
    "unsupported_data": Code(400, "Frames are text", close=CLOSE_UNSUPPORTED),
    "invalid_utf8": Code(400, "Text must be UTF-8", close=CLOSE_INVALID_TEXT),
    "frame_too_large": Code(413, "The message is over the limit", close=CLOSE_TOO_BIG),
    "too_many_bad_frames": Code(
        429, "Too many frames of the connection could not be used", close=CLOSE_OVER_LIMIT
    ),
    "topic_deleted": Code(409, "The topic was deleted", True, close=CLOSE_TOPIC_DELETED),
    "slow_subscriber": Code(429, "The socket did not drain", True, close=CLOSE_SLOW),
}


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry the code (RFC 6455 §7.4, and IANA's registry up to 1014)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
