"""Who asks, and whether they may: the dependency of every route that is not for everybody.

The front has checked the credential and put the caller into the scope. Whoever is not known gets no further
than the `Wall`, whatever a route says, and before anything of the request is read. A route's dependency is
only whether the caller has one of the rights that the route needs; for which topics is the route's to ask,
once it knows the topic.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ScopeOf

from conduit.errors import Forbidden, NotFound
from conduit.grants import Scope
from conduit.server.context import Context
from conduit.server.control import CALLER
from conduit.server.rest.problems import refused
from conduit.tenancy.audit import Origin
from conduit.tenancy.principal import Principal

# What is answered to everybody; all else needs a credential, also where there is nothing.
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/health", "/health/ready", "/ui", "/ws"})
_READING: tuple[Scope, ...] = ("manage", "subscribe")
# The dashboard's pages, which hold no data.
_OPEN_BELOW = "/ui/"


def caller_of(request: Request) -> Principal:
    """Who asks: nobody, if the front did not say it."""
    context: Context = request.app.state.context
    caller: Principal = request.scope.get(CALLER, context.gate.nobody)
    return caller


def known(request: Request) -> Principal:
    """Who asks, if it is somebody, as he is now: while the body came the key may have been changed, or have
    ended. Raises Unauthenticated."""
    caller = caller_of(request)
    if not caller.is_known:
        raise caller.refusal(())
    context: Context = request.app.state.context
    return context.rightful(caller)


class Wall:
    """ASGI middleware: what is not for everybody is for nobody who is not known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: ScopeOf, receive: Receive, send: Send) -> None:
        """Pass on what may be asked."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            request = Request(scope)
            caller = caller_of(request)
            if not caller.is_known:
                answer = await refused(request, caller.refusal(()))
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(_OPEN_BELOW)


def _needs(*scopes: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: a caller that has one of the rights, or, where none is named, one that is known."""

    async def check(request: Request) -> Principal:
        # Raises Unauthenticated, Forbidden.
        caller = known(request)
        if scopes:
            caller.check(scopes)
        if "manage" in scopes:
            # Who looks after topics and subscriptions sees what was changed at other nodes before.
            context: Context = request.app.state.context
            await context.broker.news.catch_up()
        return caller

    return check


async def _operator(request: Request) -> Principal:
    """An operator, where anybody has to say who he is. Raises Unauthenticated, Forbidden."""
    context: Context = request.app.state.context
    if context.gate.is_open:
        return caller_of(request)
    caller = known(request)
    caller.check(("admin",))
    return caller


def sees_node(request: Request) -> bool:
    """Whether who asks may know on what the node runs."""
    context: Context = request.app.state.context
    return context.gate.is_open or caller_of(request).may("admin")


Publishing = Annotated[Principal, Depends(_needs("publish"))]
Managing = Annotated[Principal, Depends(_needs("manage"))]
Reading = Annotated[Principal, Depends(_needs(*_READING))]
"""Of what subscribers may read as well."""
Operating = Annotated[Principal, Depends(_needs("admin"))]
Watching = Annotated[Principal, Depends(_operator)]
"""Of what tells of the node, and of all tenants."""
Anybody = Annotated[Principal, Depends(_needs())]


def whole(caller: Principal) -> Principal:
    """The caller, if it may manage all of the tenant. Raises Forbidden."""
    if not caller.is_whole("manage"):
        raise Forbidden("the key or token gives the right to manage only for some topics")
    return caller


def manageable(caller: Principal) -> Callable[[str], bool] | None:
    """Which topics, or patterns, it may manage; None: all."""
    if caller.is_whole("manage"):
        return None
    return lambda topic: caller.may("manage", topic)


def readable(caller: Principal) -> Callable[[str], bool] | None:
    """Which topics, or patterns, it may see in a list; None: all."""
    if caller.is_whole("manage") or caller.is_whole("subscribe"):
        return None
    return lambda topic: caller.may("manage", topic) or caller.may("subscribe", topic)


def readable_patterns(caller: Principal) -> Sequence[str] | None:
    """The same as patterns, for other nodes; None: all."""
    return caller.patterns(_READING)


def hidden(caller: Principal, scopes: tuple[Scope, ...], topic: str, error: NotFound) -> None:
    """What was found is about this topic, or pattern: raise as if it had not been, if the caller has no
    right to it."""
    if not any(caller.may(scope, topic) for scope in scopes):
        raise error


def check_filter(caller: Principal, topic: str | None) -> None:
    """Many things are to change, of this topic or of all: raise Forbidden if some are not the caller's."""
    if topic is None:
        if not caller.is_whole("manage"):
            raise Forbidden(
                "the key or token gives the right to manage only for some topics: name one of them",
                field="topic",
            )
    else:
        caller.check(("manage",), topic)


def seen_patterns(caller: Principal, topic: str | None) -> tuple[str, ...] | None:
    """Many things are looked at, of this topic or of all: the patterns of the topics whose things the caller
    may see. None: of all that is asked for. Raises Forbidden if it is asked for a topic that is not the
    caller's."""
    if topic is not None:
        caller.check(("manage",), topic)
        return None
    patterns = caller.patterns(("manage",))
    return None if patterns is None else tuple(patterns)


async def _origin(request: Request) -> Origin:
    return Origin(
        request.client.host if request.client is not None else "", request.state.request_id
    )


From = Annotated[Origin, Depends(_origin)]
"""Where a request came from, for the audit log."""
