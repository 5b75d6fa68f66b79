"""Every operation over HTTP and every frame: which rights it needs, and what is said to those who have not.

The tests of access go through these tables, and fail if a route or a frame is in none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.support.access import Names, Signed
from tests.support.http import Answer

MANAGE = ("manage",)
READ = ("manage", "subscribe")
ADMIN = ("admin",)
ANY = ("publish", "subscribe", "manage", "admin")
START = {"start": "earliest"}
GRANT = [{"scope": "publish", "topics": ["{topic}"]}]
# What differs from answer to answer, and says nothing. `connection`: who is not known is refused at the head,
# and then it says that it ends, or with the whole request if that came in one piece.
HEADERS = {"date", "x-request-id", "content-length", "connection", "set-cookie"}
MADE = {"id", "message_id", "created_at", "published_at", "started_at", "finished_at", "epoch"}
MADE |= {"key", "state", "died_at", "token", "ticket", "expires_at", "ends_at"}


@dataclass(frozen=True)
class Operation:
    """One route. One of `scopes` is enough, and `admin` always; None: for everybody.

    `narrow`: what it answers to a key that has the right for other topics only. `missing`: the code for what
    does not exist; None if nothing needs to. `good`: the answer if all is well; then it is done in the order
    of the table. `or_else`: another one that is as well, on some stores.
    """

    method: str
    path: str
    scopes: tuple[str, ...] | None
    narrow: int | None = None
    missing: str | None = None
    good: int = 200
    or_else: int | None = None
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method} {self.path}"

    @property
    def is_creating(self) -> bool:
        """Whether something is there afterwards that was not."""
        return self.good == 201 or self.path == "/api/dlq/redrive"

    def send(self, api: Signed, names: Names, **headers: str) -> Answer:
        """Ask for it."""
        path = names.put(self.path.replace("{name}", self._kind).replace("{id}", self._kind))
        if self.query:
            path += f"?{urlencode(names.put(self.query))}"
        body = None if self.body is None else json.dumps(names.put(self.body)).encode()
        return api.request(self.method, path, body, headers)

    @property
    def _kind(self) -> str:
        """What is named in the path."""
        kinds = {
            "topics": "topic",
            "subscriptions": "subscription",
            "messages": "message",
            "jobs": "job",
            "dlq": "letter",
            "keys": "key",
            "tenants": "tenant",
            "nodes": "node",
        }
        before = self.path.partition("/{")[0].rpartition("/")[2]
        return f"{{{kinds.get(before, before)}}}"


def plain(answer: Answer, names: Names, *, made: bool = False) -> tuple[object, ...]:
    """What an answer says, without what differs anyway; `made`: and without what was made for it."""
    headers = {name: value for name, value in answer.headers.items() if name not in HEADERS}
    text = names.hidden(answer.body.decode())
    if not text.startswith("{"):
        return answer.status, headers, text
    body = json.loads(text)
    body.pop("request_id", None)
    # The time.
    body.pop("now", None)
    if body.get("state") == "dry_run":
        body.pop("started_at")
    return answer.status, headers, _without_made(body) if made else body


def _without_made(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: name if name in MADE else _without_made(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_made(each) for each in value]
    return value


def _of_subscription(method: str, more: str, body: Any = None, good: int = 200) -> Operation:
    path = "/api/subscriptions/{name}" + more
    return Operation(method, path, MANAGE, 403, "subscription_not_found", good, body=body)


OPERATIONS = (
    Operation("GET", "/", None),
    Operation("GET", "/health", None),
    Operation("GET", "/health/ready", None),
    Operation("GET", "/docs", None),
    Operation("GET", "/openapi.json", None),
    Operation("GET", "/ws", None, good=426),
    Operation("GET", "/metrics", ADMIN),
    Operation("GET", "/api/whoami", ANY),
    Operation("POST", "/api/session", ANY, good=201, body={}),
    Operation("DELETE", "/api/session", ANY, good=204),
    Operation("GET", "/api/stats", MANAGE),
    Operation("GET", "/api/stats/history", MANAGE),
    Operation("GET", "/api/stats/topics", READ, 200, query={"names": "{topic}"}),
    Operation("GET", "/api/stats/attention", MANAGE, 403),
    # Publishing
    Operation(
        "POST",
        "/api/publish",
        ("publish",),
        403,
        "topic_not_found",
        body={"topic": "{topic}", "payload": 1, "idempotency_key": "{fresh}"},
    ),
    Operation(
        "POST",
        "/api/publish/batch",
        ("publish",),
        403,
        "topic_not_found",
        body={"messages": [{"topic": "{topic}", "payload": 1}]},
    ),
    # Topics and messages
    Operation("GET", "/api/topics", READ, 200, query={"q": "{topic}"}),
    Operation("POST", "/api/topics", MANAGE, 403, good=201, body={"name": "{fresh}"}),
    Operation("GET", "/api/topics/{name}", READ, 403, "topic_not_found"),
    Operation(
        "PATCH",
        "/api/topics/{name}",
        MANAGE,
        403,
        "topic_not_found",
        body={"retention": {"max_messages": 1_000_000}},
    ),
    Operation(
        "POST",
        "/api/topics/{name}/purge",
        MANAGE,
        403,
        "topic_not_found",
        body={"dry_run": True},
    ),
    Operation("GET", "/api/topics/{name}/messages", READ, 403, "topic_not_found"),
    Operation("GET", "/api/messages/{id}", READ, 404, "message_not_found"),
    # Dead letters
    Operation("GET", "/api/dlq", MANAGE, 403, query={"topic": "{topic}", "q": "payload"}),
    Operation("GET", "/api/dlq", MANAGE, 200),
    Operation("GET", "/api/dlq/groups", MANAGE, 403, query={"topic": "{topic}"}),
    Operation("GET", "/api/dlq/groups", MANAGE, 200),
    Operation("POST", "/api/dlq/redrive", MANAGE, 403, body={"topic": "{topic}", "dry_run": True}),
    Operation("POST", "/api/dlq/discard", MANAGE, 403, body={"topic": "{topic}", "dry_run": True}),
    Operation("POST", "/api/dlq/discard", MANAGE, 403, body={"ids": ["{letter}"], "dry_run": True}),
    Operation("GET", "/api/dlq/jobs", MANAGE, 200),
    Operation("GET", "/api/dlq/jobs/{id}", MANAGE, 404, "job_not_found"),
    Operation("DELETE", "/api/dlq/jobs/{id}", MANAGE, 404, "job_not_found", good=409),
    Operation("GET", "/api/dlq/{id}", MANAGE, 404, "dead_letter_not_found"),
    Operation("POST", "/api/dlq/{id}/redrive", MANAGE, 404, "dead_letter_not_found"),
    Operation("DELETE", "/api/dlq/{id}", MANAGE, 404, "dead_letter_not_found", good=204),
    # Subscriptions
    Operation("GET", "/api/subscriptions", MANAGE, 200, query={"q": "{subscription}"}),
    Operation(
        "POST",
        "/api/subscriptions",
        MANAGE,
        403,
        good=201,
        body={"name": "{fresh}", "topic": "{topic}", "start": {"seq": 1, "epoch": "{epoch}"}},
    ),
    _of_subscription("GET", ""),
    _of_subscription("GET", "/topics"),
    _of_subscription("GET", "/subscribers"),
    _of_subscription("PATCH", "", {"max_in_flight": 7}),
    _of_subscription("POST", "/seek", START),
    _of_subscription("POST", "/pause"),
    _of_subscription("POST", "/resume"),
    _of_subscription("DELETE", "", good=204),
    Operation("DELETE", "/api/topics/{name}", MANAGE, 403, "topic_not_found", good=204),
    # Keys, tenants, and what was done
    Operation("GET", "/api/keys", MANAGE, 403),
    Operation(
        "POST", "/api/keys", MANAGE, 403, good=201, body={"name": "{fresh}", "scopes": GRANT}
    ),
    Operation("GET", "/api/keys/{id}", MANAGE, 403, "key_not_found"),
    Operation("PATCH", "/api/keys/{id}", MANAGE, 403, "key_not_found", body={"name": "x"}),
    Operation("POST", "/api/keys/{id}/rotate", MANAGE, 403, "key_not_found", body={}),
    Operation("DELETE", "/api/keys/{id}", MANAGE, 403, "key_not_found"),
    # Whoever asks for a token may give what he has.
    Operation("POST", "/api/tokens", ("publish",), 403, good=201, body={"scopes": GRANT}),
    Operation("POST", "/api/tickets", ANY, good=201, body={}),
    Operation("GET", "/api/audit", MANAGE, 403, query={"actor": "key:{key}"}),
    Operation("GET", "/api/nodes", ADMIN),
    Operation("GET", "/api/nodes/{id}", ADMIN, missing="node_not_found"),
    Operation("GET", "/api/route", ADMIN, query={"topic": "{topic}"}),
    Operation("GET", "/api/ring", ADMIN),
    # A server that has its log for itself has nobody to leave it to.
    Operation("POST", "/api/nodes/{id}/drain", ADMIN, missing="node_not_found", or_else=409),
    Operation("DELETE", "/api/nodes/{id}/drain", ADMIN, missing="node_not_found", or_else=409),
    Operation("GET", "/api/tenant", MANAGE, 403),
    Operation("GET", "/api/tenants", ADMIN),
    Operation("POST", "/api/tenants", ADMIN, good=201, body={"name": "new-{tenant}"}),
    Operation("GET", "/api/tenants/{name}", ADMIN, missing="tenant_not_found"),
    Operation(
        "PATCH", "/api/tenants/{name}", ADMIN, missing="tenant_not_found", body={"limits": {}}
    ),
    Operation(
        "DELETE", "/api/tenants/{name}", ADMIN, missing="tenant_not_found", good=409, or_else=204
    ),
)


@dataclass(frozen=True)
class Asked:
    """One frame. `scope`: without it the answer is `forbidden`; None: nothing is needed for it.

    `missing`: the answer to one that is about what does not exist, or is not this connection's.
    """

    type: str
    scope: str | None
    missing: str | None
    fields: Any


FRAMES = (
    Asked("heartbeat", None, None, {}),
    Asked("publish", "publish", "topic_not_found", {"topic": "{topic}", "payload": 1}),
    Asked("subscribe", "subscribe", "topic_not_found", {"topic": "{topic}", "create": False}),
    Asked(
        "subscribe",
        "subscribe",
        "subscription_not_found",
        {"topic": "{topic}", "subscription": "{subscription}", "create": False},
    ),
    Asked(
        "subscribe",
        "subscribe",
        "topic_not_found",
        {"topic": "{topic}", "create": False, "start": {"seq": 2, "epoch": "{epoch}"}},
    ),
    Asked("unsubscribe", None, "not_subscribed", {"topic": "{topic}"}),
    Asked(
        "unsubscribe",
        None,
        "not_subscribed",
        {"topic": "{topic}", "subscription": "{subscription}"},
    ),
    Asked("ack", None, "unknown_delivery", {"message_id": "{message}"}),
    Asked("ack", None, "unknown_delivery", {"message_ids": ["{message}"]}),
    Asked("ack", None, "unknown_delivery", {"topic": "{topic}", "seq": 3}),
    Asked(
        "ack",
        None,
        "unknown_delivery",
        {"message_id": "{message}", "subscription": "{subscription}"},
    ),
    Asked("nack", None, "unknown_delivery", {"message_id": "{message}"}),
    Asked("reject", None, "unknown_delivery", {"message_id": "{message}"}),
    Asked("extend", None, "unknown_delivery", {"message_id": "{message}", "ms": 1_000}),
    Asked("auth", None, "unauthenticated", {"token": "ck_live_{key}_nothing"}),
)
