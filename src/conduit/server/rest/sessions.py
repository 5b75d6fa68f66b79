"""`/api/session` and `/api/whoami`: who has signed in, and until when"""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from conduit.cluster.inquiries import SIGNED_OUT, Question
from conduit.protocol.codec import format_time
from conduit.protocol.records import SessionAnswer, WhoAmI
from conduit.server.context import Context
from conduit.server.cookies import cookie_line
from conduit.server.rest.access import Anybody, From
from conduit.server.rest.inputs import NO_QUERY, Body, Shared
from conduit.server.rest.keys import required
from conduit.server.rest.replies import answers, fails, optional_time, reply
from conduit.server.rest.routing import routes
from conduit.tenancy.page_sessions import (
    PATH_MAX_CHARS,
    SESSION_IDLE_S,
    PagePrincipal,
    PageSession,
    PageSessions,
)
from conduit.tenancy.principal import Principal

router = routes("/api", "sessions")

# What may stand in a cookie's path, and in an address.
_PATH = r"^/(?:[A-Za-z0-9._~!$&'()*+,=:@%-]+/)*$"


class NewSession(Body):
    """`path`: where the page's browser reaches the server, below which it sends the cookie."""

    path: Annotated[str, Field(max_length=PATH_MAX_CHARS, pattern=_PATH)] = "/"


@router.post(
    "/session",
    status_code=201,
    dependencies=[NO_QUERY],
    responses=answers(SessionAnswer, "forbidden", status=201),
)
async def create_session(
    shared: Shared, caller: Anybody, origin: From, request: Request, body: NewSession
) -> Response:
    """Sign in: the API key of this request becomes a cookie that no script reads, which counts in its place
    with the header `X-Conduit-Session`."""
    pages = required(shared).pages
    # Browsers say it with every POST. Whoever says it and has no TLS gets a cookie that is never sent.
    is_secure = request.headers.get("origin", "").startswith("https://")
    begun = pages.begin(caller, body.path, is_secure=is_secure)
    # As of the key, so that who looks for what was done with it finds it.
    detail = {"ends_at": optional_time(begun.expires_at_ms)}
    await shared.audit.done(caller, origin, "session.begin", begun.session.key, **detail)
    return _with_cookie(reply(_shown(begun), 201), pages, begun.session)


@router.delete("/session", status_code=204, dependencies=[NO_QUERY], responses=fails())
async def end_session(shared: Shared, caller: Anybody, origin: From) -> Response:
    """Sign out: the session counts no more, and its WebSockets are closed. Without one nothing is done."""
    answer = Response(status_code=204)
    if not isinstance(caller, PagePrincipal):
        return answer
    session, pages = caller.session, required(shared).pages
    one = pages.sign_out(session)
    told = Question(tenant=caller.tenant, names=[one.key, str(one.ends_at_ms), one.id])
    # Who does not hear it now asks when there is a link again.
    await shared.asking.all(SIGNED_OUT, told)
    await shared.audit.done(caller, origin, "session.end", session.key)
    answer.headers["set-cookie"] = _gone(pages, session)
    return answer


@router.get("/whoami", dependencies=[NO_QUERY], responses=answers(WhoAmI, "unauthenticated"))
async def whoami(shared: Shared, caller: Anybody) -> Response:
    """Whom the key, token or session stands for, and what it may do. A session is renewed by it."""
    limits = caller.limits
    if shared.tenancy is not None:
        tenant = shared.tenancy.registry.tenant(caller.tenant)
        limits = tenant.limits.narrowed(caller.limits)
    answer = reply(
        WhoAmI(
            caller.tenant,
            caller.actor,
            caller.key_id,
            list(caller.grants),
            optional_time(caller.expires_at_ms),
            limits,
            _name_of(shared, caller),
            _shown(caller) if isinstance(caller, PagePrincipal) else None,
            format_time(shared.wall_ms()),
        )
    )
    if isinstance(caller, PagePrincipal):
        pages = required(shared).pages
        if (newer := pages.renewed(caller.session)) is not None:
            return _with_cookie(answer, pages, newer)
    return answer


def _name_of(shared: Context, caller: Principal) -> str | None:
    """Of the key itself, which an operator's is in another tenant too."""
    if shared.tenancy is None or caller.key_id is None or caller.is_token:
        return None
    return shared.tenancy.registry.good_key(caller.key_id).name


def _shown(caller: PagePrincipal) -> SessionAnswer:
    ends_at_ms = caller.expires_at_ms or caller.session.ends_at_ms
    return SessionAnswer(format_time(ends_at_ms), SESSION_IDLE_S, caller.session.id)


def _gone(pages: PageSessions, session: PageSession) -> str:
    return cookie_line(pages.cookie_name, "", session.path, is_secure=session.is_secure)


def _with_cookie(answer: Response, pages: PageSessions, session: PageSession) -> Response:
    value = pages.cookie(session)
    line = cookie_line(pages.cookie_name, value, session.path, is_secure=session.is_secure)
    answer.headers["set-cookie"] = line
    return answer
