"""The REST application in process, over a broker whose clock is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from conduit.cluster.this_node import ThisNode
from conduit.protocol.frames import Reject
from conduit.server.context import Context, Limits
from conduit.server.rest.api import create_api
from tests.broker.kit import Bench, running_broker


class Api:
    """A client of the application, and what stands behind it."""

    def __init__(self, client: httpx2.AsyncClient, bench: Bench, app: FastAPI) -> None:
        self.client = client
        self.bench = bench
        self.app = app
        self.context: Context = app.state.context

    async def send(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        return await self.client.request(method, path, **parts)

    async def get(self, path: str, **query: Any) -> Any:
        """The body of a GET that must succeed."""
        return accepted(await self.send("GET", path, params=query))

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """The body of a POST that must succeed."""
        return accepted(await self.send("POST", path, json=body), status)

    async def topic(self, name: str, count: int = 0, **retention: Any) -> None:
        """Create a topic that holds the payloads 0 to count - 1."""
        await self.post("/api/topics", {"name": name, "retention": retention}, 201)
        if count:
            await self.bench.publish_many(name, count)

    async def die(self, topic: str, *, subscription: str | None = None, count: int = 1) -> None:
        """Publish messages that are rejected with the reason `bad` at once."""
        connection, peer = await self.bench.subscribe(topic, subscription=subscription)
        await self.bench.publish_many(topic, count)
        for frame in peer.of("message"):
            connection.verbs.reject(Reject(frame["message_id"], reason="bad"))
        await self.bench.flush()
        connection.close()
        await self.bench.flush()


def accepted(answer: httpx2.Response, status: int = 200) -> Any:
    """The body of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def refused(answer: httpx2.Response, status: int, code: str, field: str | None = None) -> str:
    """The detail of a problem that must be this one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body.get("field") == field
    assert body["error"] == body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return str(body["detail"])


@asynccontextmanager
async def running_api(*, cors_origin: str = "*", **options: Any) -> AsyncIterator[Api]:
    async with running_broker(**options) as bench:
        node = ThisNode("node-1", "node-1.example:8080", bench.clock.wall_ms())
        context = Context(bench.broker, Limits(), cors_origin=cors_origin, node=node)
        context.ready = True
        app = create_api(context)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            yield Api(client, bench, app)
