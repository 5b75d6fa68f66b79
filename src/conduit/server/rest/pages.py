"""`/ui/`: the dashboard's pages, for everybody; what they show they ask the API for."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from conduit.errors import NotFound
from conduit.server.dashboard.built import ASSETS, DEPTH_MAX_COUNT, Built, Form
from conduit.server.dashboard.choosing import is_known
from conduit.server.outgoing import PIECE_BYTES
from conduit.server.rest.routing import routes

# Whatever else is in a link, the page is there: what it shows is its own affair.
router = routes(each_once=False)

UI = "/ui"
# Pages load what is here, and call the API that is here; nobody frames them.
POLICY = "default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"
_SAFE = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
}
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASKED_AGAIN = "no-cache"
# How often a page that waits for the dashboard asks whether it is there.
_AGAIN_S = 3
_HEADLINES = {
    False: "The dashboard is not built",
    True: "The dashboard is being built",
}
_NOT_BUILT = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{_AGAIN_S}"><title>Conduit</title>
<h1>HEADLINE</h1>
<p>The server works; only its pages are not there. In a checkout, <code>make dashboard</code> builds them,
and <code>make run</code> does so by itself: this page then becomes the dashboard within a minute. A wheel of
Conduit has them in it.</p>
<p>Meanwhile: the <a href="REST/docs">API</a>, and <a href="REST/health">how the server is</a>.</p>
</html>
"""


class _Pieces(Response):
    """An answer that is given piece by piece, as fast as the peer reads: it waits in memory once, for all."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        whole = memoryview(self.body)
        for start in range(0, len(whole), PIECE_BYTES):
            piece = bytes(whole[start : start + PIECE_BYTES])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@router.get(UI)
async def slash() -> Response:
    """To the page, wherever a proxy has put it."""
    return Response(status_code=307, headers={"location": "ui/"})


@router.get(f"{UI}/{ASSETS}/{{name:path}}")
async def asset(request: Request, name: str) -> Response:
    """A file that the page names. Its name changes with its content."""
    pages = await _built(request).pages()
    found = None if pages is None else pages.assets.get(name)
    if found is None:
        raise NotFound("no such file is in this version of the dashboard")
    form = found.best(request.headers.get("accept-encoding"))
    return _answer(request, form, found.media_type, _FOR_GOOD)


@router.get(f"{UI}/{{view:path}}")
async def page(request: Request, view: str) -> Response:
    """The page, whichever view it is to show."""
    # As it was sent: a slash in a name is no level.
    depth = request.scope.get("raw_path", view.encode()).count(b"/") - UI.count("/") - 1
    if depth > DEPTH_MAX_COUNT:
        raise NotFound("no view of the dashboard is at this address")
    pages = await _built(request).pages()
    if pages is None:
        waiting = _NOT_BUILT.replace("REST", "../" * depth + "..")
        waiting = waiting.replace("HEADLINE", _HEADLINES[_built(request).is_coming])
        return HTMLResponse(waiting, 503, headers={**_SAFE, "retry-after": str(_AGAIN_S)})
    return _answer(request, pages.at(depth), "text/html; charset=utf-8", _ASKED_AGAIN)


def _built(request: Request) -> Built:
    built: Built = request.app.state.dashboard
    return built


def _answer(request: Request, form: Form, media_type: str, kept: str) -> Response:
    headers = {**_SAFE, "cache-control": kept, "etag": form.etag, "vary": "Accept-Encoding"}
    if is_known(form.etag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    if form.encoding is not None:
        headers["content-encoding"] = form.encoding
    return _Pieces(form.content, headers=headers, media_type=media_type)
