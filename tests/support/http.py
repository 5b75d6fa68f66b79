"""A thin HTTP client on the standard library: one connection per request, JSON in and out."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.support import secrets
from tests.support.wait import DEADLINE_S


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code of a problem body."""
        assert self.headers["content-type"].startswith("application/problem+json"), self
        code: str = self.json["code"]
        return code


class Api:
    """The REST API of one server."""

    def __init__(self, url: str) -> None:
        self.port = urlsplit(url).port
        assert self.port is not None
        self.host = urlsplit(url).hostname or "127.0.0.1"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own, with exactly these bytes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, names, response.read())
            secrets.register_issued(answer.body)
            return answer
        finally:
            connection.close()

    def get(self, path: str, **query: object) -> Answer:
        """GET with a query string made of what is not None."""
        pairs = urlencode({name: value for name, value in query.items() if value is not None})
        return self.request("GET", f"{path}?{pairs}" if pairs else path)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        """POST a JSON body; header names are given with underscores."""
        return self._send("POST", path, body, headers)

    def patch(self, path: str, body: object) -> Answer:
        """PATCH a JSON body."""
        return self._send("PATCH", path, body, {})

    def delete(self, path: str) -> Answer:
        """DELETE without a body."""
        return self.request("DELETE", path)

    def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body).encode()
        return self.request(method, path, content, {"content-type": "application/json", **names})

    # The requests that nearly every test makes; each fails unless the server accepts it -------

    def create_topic(self, name: str, **retention: int) -> dict[str, Any]:
        """Create a topic and return it."""
        body: dict[str, object] = {"name": name}
        if retention:
            body["retention"] = retention
        return accepted(self.post("/api/topics", body), 201)

    def publish(self, topic: str, payload: object, **more: object) -> dict[str, Any]:
        """Publish one message and return the receipt."""
        return accepted(self.post("/api/publish", {"topic": topic, "payload": payload, **more}))

    def publish_many(self, topic: str, payloads: list[Any]) -> list[dict[str, Any]]:
        """Publish a batch to one topic and return the receipts."""
        messages = [{"topic": topic, "payload": payload} for payload in payloads]
        receipts: list[dict[str, Any]] = accepted(
            self.post("/api/publish/batch", {"messages": messages})
        )["results"]
        return receipts

    def topic(self, name: str) -> dict[str, Any]:
        """One topic."""
        return accepted(self.get(f"/api/topics/{quote(name, safe='')}"))

    def subscription(self, name: str) -> dict[str, Any]:
        """One durable subscription."""
        return accepted(self.get(f"/api/subscriptions/{quote(name, safe='')}"))

    def dead_letters(self, **filters: object) -> list[dict[str, Any]]:
        """The first page of dead letters."""
        letters: list[dict[str, Any]] = accepted(self.get("/api/dlq", **filters))["dead_letters"]
        return letters

    def browse(self, topic: str, **query: object) -> list[dict[str, Any]]:
        """Stored messages of a topic, one page of up to 1,000."""
        path = f"/api/topics/{quote(topic, safe='')}/messages"
        messages: list[dict[str, Any]] = accepted(self.get(path, **{"limit": 1000, **query}))[
            "messages"
        ]
        return messages


def accepted(answer: Answer, status: int = 200) -> dict[str, Any]:
    """The body of an answer that must have this status."""
    assert answer.status == status, answer
    body: dict[str, Any] = answer.json
    return body
