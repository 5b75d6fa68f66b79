"""The page of error codes: what `protocol/codes.py` says of each, where it comes from, and what to do."""

from __future__ import annotations

from typing import NamedTuple

from conduit.protocol import codes
from conduit.protocol.codes import CODES, Code


class Advice(NamedTuple):
    """`wires`: `HTTP`, `WebSocket` (an `error` frame), `close` (a close code only), `start` (of a server)."""

    wires: str
    todo: str


_BOTH = "HTTP, WebSocket"

ADVICE: dict[str, Advice] = {
    "malformed_json": Advice(_BOTH, "Send JSON in UTF-8. `NaN` and half surrogate pairs are none."),
    "json_too_deep": Advice(_BOTH, "Nest less, or raise `CONDUIT_MAX_JSON_DEPTH` (128)."),
    "invalid_request": Advice(
        _BOTH, "`field` names the value, `detail` says what it may be. Correct it."
    ),
    "unknown_field": Advice(
        _BOTH, "`field` names it: misspelt, or of a newer version. Correct or remove it."
    ),
    "unknown_frame_type": Advice(
        "WebSocket", "Send one of the frames of the [protocol](../websocket.md)."
    ),
    "invalid_topic": Advice(
        _BOTH, "Tokens of `A–Z a–z 0–9 _ -`, joined by dots, 255 characters at most."
    ),
    "invalid_pattern": Advice(_BOTH, "`*` is one whole token, `>` stands at the end only."),
    "invalid_name": Advice(_BOTH, "Names have `A–Z a–z 0–9 _ . -`; those of tenants are shorter."),
    "unauthenticated": Advice(
        _BOTH, "Use a key or token that is good. To get one: [auth](../auth.md)."
    ),
    "forbidden": Advice(
        _BOTH,
        "Use a key with that scope for that topic. From a page: its origin has to be in `CORS_ORIGIN`.",
    ),
    "not_found": Advice("HTTP", "Look at the path: `/docs` of the server lists all."),
    "method_not_allowed": Advice("HTTP", "The `Allow` header names those that it takes."),
    "request_timeout": Advice(
        _BOTH, "The line or the client was too slow. Send it again, in smaller parts."
    ),
    "payload_too_large": Advice(
        _BOTH,
        "Send less, or a link to it; or raise `CONDUIT_MAX_PAYLOAD_BYTES`, or the tenant's `message_bytes`.",
    ),
    "unsupported_media_type": Advice(
        "HTTP", "`Content-Type: application/json`, and no `Content-Encoding`."
    ),
    "headers_too_large": Advice(
        "HTTP", "Send fewer headers; often it is a cookie of another program."
    ),
    "upgrade_required": Advice(
        "HTTP", "Use a WebSocket client for `/ws`. Behind a proxy: it passes no upgrade on."
    ),
    "topic_not_found": Advice(
        _BOTH, "Create the topic, subscribe to it once, or set `CONDUIT_AUTO_CREATE_TOPICS`."
    ),
    "topic_exists": Advice("HTTP", "Go on: it is there."),
    "message_not_found": Advice("HTTP", "It was never stored, or retention has removed it."),
    "idempotency_conflict": Advice(
        _BOTH, "Use one key for one payload: the first was stored, this one was not."
    ),
    "subscription_not_found": Advice(_BOTH, "Create it, or subscribe without `create: false`."),
    "subscription_exists": Advice("HTTP", "Go on, or choose another name."),
    "subscription_conflict": Advice(
        "WebSocket", "Leave the settings out, or give those that it has."
    ),
    "already_subscribed": Advice("WebSocket", "`unsubscribe` first, or use another connection."),
    "not_subscribed": Advice(
        "WebSocket", "Nothing to do: it had ended already, or was never begun."
    ),
    "subscription_full": Advice(
        "HTTP", "Wait until some of its retries were settled, then redrive again."
    ),
    "unknown_delivery": Advice("WebSocket", "Nothing to do: the ack came too late, or twice."),
    "stale_attempt": Advice(
        "WebSocket", "Nothing to do: it was handed out again, and the later attempt counts."
    ),
    "dead_letter_not_found": Advice(
        "HTTP", "It was discarded, or is older than dead letters are kept."
    ),
    "job_not_found": Advice("HTTP", "Its node has stopped, or it is not among the last 100."),
    "letter_topic_gone": Advice("HTTP", "Publish its payload anew, to another topic."),
    "already_redriven": Advice("HTTP", "Nothing to do: the subscription has it, or will."),
    "payload_lost": Advice(
        "HTTP", "Retention had removed the message before it died. Publish it anew from its source."
    ),
    "conflict": Advice(
        "HTTP", "`detail` says which state it is in. Look at it, then decide again."
    ),
    "tenant_not_found": Advice(
        "HTTP", "Look at the name in `X-Conduit-Tenant`, or create the tenant."
    ),
    "tenant_exists": Advice("HTTP", "Go on, or choose another name."),
    "tenant_not_empty": Advice("HTTP", "Delete its topics and subscriptions first."),
    "key_not_found": Advice("HTTP", "Look at the id: it is the part behind `ck_live_`."),
    "node_not_found": Advice("HTTP", "`conduit node ls` lists those that there are."),
    "node_unreachable": Advice("HTTP", "Ask that node itself, or wait until it is up."),
    "draining": Advice("HTTP", "Only of `/health/ready`: send nobody to this node."),
    "limit_reached": Advice(
        _BOTH, "`limit` names the bound: use less, or have the operator raise it."
    ),
    "rate_limited": Advice(_BOTH, "Wait as long as `Retry-After` or `retry_after_ms` says."),
    "unavailable": Advice(_BOTH, "Nothing was done. Try again after `Retry-After`."),
    "overloaded": Advice(
        _BOTH, "Nothing was done. Try again after `Retry-After`, with fewer at once."
    ),
    "store_unavailable": Advice(
        _BOTH, "Nothing was stored. Try again; the operator looks at disk and database."
    ),
    "outcome_unknown": Advice(
        _BOTH,
        "It may be done. Repeat a publish with the same `idempotency_key`; look before you repeat others.",
    ),
    "shutting_down": Advice(_BOTH, "Connect again: to another node, or after the restart."),
    "internal": Advice(
        _BOTH, "A fault of the server: its log has more under `request_id`. Report it."
    ),
    "config": Advice(
        "start", "The server names every setting that it cannot use, and ends with exit code 2."
    ),
    "protocol_error": Advice("close", "The client breaks RFC 6455: mend or replace its library."),
    "unsupported_data": Advice("close", "Send text frames, no binary ones."),
    "invalid_utf8": Advice("close", "Send UTF-8."),
    "frame_too_large": Advice(
        "close", "Send less in one frame; `CONDUIT_MAX_PAYLOAD_BYTES` + 64 KiB is the bound."
    ),
    "too_many_bad_frames": Advice("WebSocket", "Mend the client: most of its frames are wrong."),
    "topic_deleted": Advice("close", "Connect again, and subscribe with `create: false`."),
    "slow_subscriber": Advice(
        "close", "Connect again and resume. Read faster, or subscribe to less."
    ),
}

_CLOSE_MEANINGS = {
    codes.CLOSE_NORMAL: "Done.",
    codes.CLOSE_TRY_LATER: "Too much is kept in memory, or there are too many connections: with backoff.",
    codes.CLOSE_MOVED: "A durable subscription of the connection runs elsewhere now.",
    codes.CLOSE_LATE: "A message did not come whole in time.",
    codes.CLOSE_FORBIDDEN: "The credential does not give any more what the connection is subscribed to.",
}

_HEAD = """\
# Error codes

Made by `make reference` from `protocol/codes.py`; do not edit it.

One code means the same over HTTP (`code` of the problem), over WebSocket (`code` of the `error` frame),
in the Python client (`ApiError.code`) and on the command line (`error: … (code …)`). Codes are never renamed.
The text beside a code is for people and may change.

*Again* says whether the same request can succeed later, unchanged. Where it is **yes**, wait as long as
`Retry-After` (HTTP, seconds) or `retry_after_ms` (WebSocket) says. *Close* is the close code that ends a
WebSocket with this error.

| code | over | HTTP | close | again | meaning, and what to do |
|---|---|--:|--:|---|---|
"""

_CLOSES = """
## Close codes

4000 to 4499: connect again. 4500 to 4999: do not, before something has changed. The full text is in the
[protocol](../websocket.md#close-codes).

| close | again | code | meaning |
|--:|---|---|---|
"""


def error_page() -> str:
    """The whole page. Raises KeyError if a code has no advice."""
    rows = [_row(name, code, ADVICE[name]) for name, code in CODES.items()]
    return _HEAD + "".join(rows) + _CLOSES + "".join(_close_rows())


def _row(name: str, code: Code, advice: Advice) -> str:
    status = code.status if "HTTP" in advice.wires else "–"
    again = "**yes**" if code.retryable else "no"
    said = f"{code.title}. → {advice.todo}"
    cells = (f"`{name}`", advice.wires, status, code.close or "–", again, said)
    return f"| {' | '.join(map(str, cells))} |\n"


def _close_rows() -> list[str]:
    named = {code.close: (name, code) for name, code in CODES.items() if code.close}
    numbers = [value for name, value in vars(codes).items() if name.startswith("CLOSE_")]
    rows = []
    for number in sorted(numbers):
        name, code = named.get(number, ("–", None))
        meaning = f"{code.title}." if code else _CLOSE_MEANINGS[number]
        shown = f"`{name}`" if code else "–"
        rows.append(f"| {number} | {_again(number)} | {shown} | {meaning} |\n")
    return rows


def _again(close: int) -> str:
    if close in codes.BROKEN_WIRE or close >= 4500:
        return "no"
    return "–" if close == codes.CLOSE_NORMAL else "**yes**"
