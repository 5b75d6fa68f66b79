"""What all answers of the application share: request id, CORS, `HEAD` as `GET`, and what is said of
bugs and of a store that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conduit.errors import (
    ConduitError,
    Forbidden,
    InvalidRequest,
    OutcomeUnknown,
    StateError,
    StoreUnavailable,
    Unavailable,
)
from conduit.protocol.depth import RECORDS_MAX_DEPTH, is_deeper
from conduit.server.answers import REQUEST_ID_HEADER, SAFE_HEADERS, request_id
from conduit.server.context import Context
from conduit.server.control import CALLER
from conduit.server.doors import DOOR, Door
from conduit.server.gate import INTERNAL_PATH
from conduit.server.rest.problems import METHODS, nothing_at, problem_response

logger = logging.getLogger(__name__)

# Longer than whatever has a deadline of its own, and shorter than a client waits.
ANSWER_TIMEOUT_S = 20.0
_SAFE_METHODS = frozenset({"GET", "OPTIONS"})
# How long a browser may remember a preflight.
_PREFLIGHT_MAX_AGE_S = 600
# What requests may have; browsers ask only for those that need leave.
ALLOWED_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "x-api-key",
    "x-conduit-tenant",
    "x-request-id",
)
# Parameters of one query: several times as many as any route has.
QUERY_MAX_COUNT = 50
_PRIVATE_NETWORK = "access-control-request-private-network"


class Edge:
    """ASGI middleware around everything else, errors included."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context
        # Requests that are being served.
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes pass unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        if scope["method"] == "HEAD":
            # Whoever called still has the other scope, and leaves out the body.
            scope = {**scope, "method": "GET"}
        identity = request_id(asked.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = identity
        # Every body is JSON: what is said to be none does not come here, but for `curl -d`, which says of
        # everything that it is a form.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
        scope["headers"].append((b"content-type", b"application/json"))
        door: Door = scope.setdefault(DOOR, self._context.door)
        origin = asked.get("origin")
        headers = {**SAFE_HEADERS, **door.origins.headers(origin), REQUEST_ID_HEADER: identity}
        answer = _Answer(send, headers)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in asked:
            # A page of the internet may reach into a private network if it is named, not where all may.
            is_named = _PRIVATE_NETWORK in asked and door.origins.names(origin)
            await answer.preflight(to_private_network=is_named)
            return
        if (error := self._barred(scope, door)) is not None:
            await answer.instead(problem_response(error, identity), scope, receive)
            return
        work = asyncio.get_running_loop().create_task(self._served(scope, receive, answer))
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({work}, timeout=ANSWER_TIMEOUT_S)
            if work.done() or answer.begun:
                await work
                return
        except asyncio.CancelledError:
            # So uvicorn ends what still runs when there is no more time to stop.
            if answer.begun:
                work.cancel()
            else:
                response = problem_response(_stopped(scope["method"]), identity)
                await answer.at_once(response, scope, receive)
            return
        logger.warning("request %s waits for the store for too long", identity)
        # What it asked for goes on, so that memory follows when the store has done it.
        await answer.instead(problem_response(_late(scope["method"]), identity), scope, receive)

    def _barred(self, scope: Scope, door: Door) -> ConduitError | None:
        """Why the request is not for the application, whatever is there."""
        if scope["query_string"].count(b"&") >= QUERY_MAX_COUNT:
            return InvalidRequest(f"the query has more than {QUERY_MAX_COUNT} parameters")
        path, gate = scope["path"], self._context.gate
        is_internal = path.startswith(INTERNAL_PATH.decode())
        if not door.has(path) or (is_internal and not gate.internal_secrets):
            return nothing_at(path, door)
        if is_internal and scope.get(CALLER) is not gate.node:
            return Forbidden("X-Internal-Secret is missing or wrong", field="X-Internal-Secret")
        return None

    async def _served(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        # With the whole body, which the front has waited for.
        asked = await receive()
        if asked["type"] == "http.disconnect":
            # Nothing has begun, and nobody would hear of it. FastAPI would make an error of it, in a cycle
            # with all that is left of the connection.
            return
        if is_deeper(
            asked.get("body", b""), self._context.limits.max_json_depth + RECORDS_MAX_DEPTH
        ):
            # Those who read it would go as deep, as far as their stacks allow.
            error = InvalidRequest("the JSON is nested too deeply", code="json_too_deep")
            response = problem_response(error, scope["state"]["request_id"])
            await response(scope, receive, answer.send)
            return
        try:
            await self._app(scope, _again(asked, receive), answer.send)
        except Exception as error:
            identity = scope["state"]["request_id"]
            logger.exception("request %s failed", identity)
            if answer.begun:
                raise
            await problem_response(StateError.of(error), identity)(scope, receive, answer.send)


def _again(asked: Message, receive: Receive) -> Receive:
    """Gives that message first, once, and lets go of it."""
    first = [asked]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _late(method: str) -> ConduitError:
    if method in _SAFE_METHODS:
        return StoreUnavailable("the store does not answer")
    return OutcomeUnknown("the store does not answer; what was asked may still be done")


def _stopped(method: str) -> ConduitError:
    if method in _SAFE_METHODS:
        return Unavailable("the server is stopping", code="shutting_down")
    return OutcomeUnknown("the server is stopping; what was asked may still be done")


class _Answer:
    """The sending side of one request: adds the headers to whatever answer begins."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.begun = False
        self._is_over = False

    async def instead(self, response: Response, scope: Scope, receive: Receive) -> None:
        """Answer with this; what the application says later is dropped."""
        self._is_over = True
        await response(scope, receive, self._pass)

    async def at_once(self, response: Response, scope: Scope, receive: Receive) -> None:
        """As `instead`; but who does not read does not get it."""
        # Python 3.11.2 makes no TimeoutError of it where the task was cancelled before.
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(0):
                await self.instead(response, scope, receive)

    async def send(self, message: Message) -> None:
        if not self._is_over:
            await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._tell(MutableHeaders(scope=message))
        await self._send(message)

    def _tell(self, headers: MutableHeaders) -> None:
        """What all answers say; an answer may say itself what caches may do with it."""
        for name, value in self._headers.items():
            if name == "cache-control":
                headers.setdefault(name, value)
            elif name == "vary":
                headers.add_vary_header(value)
            else:
                headers[name] = value

    async def preflight(self, *, to_private_network: bool) -> None:
        """Allow what the API has."""
        self._headers |= {
            "access-control-allow-methods": ", ".join(METHODS),
            "access-control-allow-headers": ", ".join(ALLOWED_HEADERS),
            "access-control-max-age": str(_PREFLIGHT_MAX_AGE_S),
        }
        if to_private_network:
            self._headers["access-control-allow-private-network"] = "true"
        await self.send({"type": "http.response.start", "status": 204, "headers": []})
        await self.send({"type": "http.response.body", "body": b""})
