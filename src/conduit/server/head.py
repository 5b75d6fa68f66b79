"""The head of an HTTP request: what it asks for and how long its body is.

llhttp, through httptools, reads it in its strict mode; what that lets pass although RFC 9112
forbids it, or although two servers in a row could read it differently, is refused here.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache

import httptools
import msgspec

from conduit.errors import InvalidRequest, LimitReached

END = b"\r\n\r\n"
URL_MAX_BYTES = 8192
HEADERS_MAX_COUNT = 100

# A client repeats its head to the byte but for the length of the body, so most need no parsing.
KNOWN_HEADS_MAX_COUNT = 1024
KNOWN_HEAD_MAX_BYTES = 2048

# What a request can have once: joined, two of them would be a third that nobody has sent, and of two servers
# in a row each could go by another one.
_ONCE = frozenset(
    {"authorization", "host", "idempotency-key", "origin", "x-api-key", "x-conduit-tenant"}
)
# Hop-by-hop headers that the front itself acts on, and those it will not act on.
# Who asks is told to the application by the front, and no key stays in memory with a head.
_CREDENTIAL = re.compile(
    rb"\r\n(authorization|x-api-key|x-internal-secret|cookie):[ \t]*([^\r\n]*)(?=\r\n)",
    re.IGNORECASE,
)
# What stands before the secret of another node: no key and no token has a blank.
INTERNAL = b"internal "
# And before cookies, of which one may be a session's.
COOKIES = b"cookies "
# What differs from one request of a client to the next. So it stays apart from what is the same.
_TRACE = re.compile(
    # With what no header may have it stays, and is refused.
    rb"\r\ntrace(parent|state):[ \t]*([\t\x20-\x7e\x80-\xff]*)(?=\r\n)",
    re.IGNORECASE,
)
_BEARER = re.compile(rb"bearer[ ]+", re.IGNORECASE)
_NOT_FORWARDED = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"http2-settings"})
_WEBSOCKET_PATH = b"/ws"
# By which nodes of a cluster link. They prove who they are on the socket, and have no other credential.
_LINK_PATH = b"/internal/link"
_MODERN = b" HTTP/1.1"
_NO_CODING = frozenset({"", "identity"})
_OPEN = frozenset(
    {
        b"/",
        b"/docs",
        b"/openapi.json",
        b"/health",
        b"/health/ready",
        b"/ui",
        _WEBSOCKET_PATH,
        _LINK_PATH,
    }
)
# The dashboard's pages, which hold no data.
_OPEN_BELOW = b"/ui/"
# Every browser sends one of them with whatever a page asks for that could change anything.
_PAGE_HEADERS = frozenset({"origin", "sec-fetch-site"})
_JSON = re.compile(r"application/(?:[\w.!#$&^-]+\+)?json")
# What `curl -d` says of any body.
_FORM = "application/x-www-form-urlencoded"
_PROBE_METHODS = frozenset({b"GET", b"HEAD"})


class Route(enum.Enum):
    """Who answers."""

    PUBLISH = enum.auto()
    BATCH = enum.auto()
    WEBSOCKET = enum.auto()
    LINK = enum.auto()
    """A socket of another node, where there is a cluster; else as CONTROL."""
    PROBE = enum.auto()
    """As CONTROL; answered also when there are too many connections."""
    SCRAPE = enum.auto()
    """A probe that costs more: the metrics."""
    ENCODED = enum.auto()
    """Nobody: its body has a content coding, and bodies are read as they are."""
    MISTYPED = enum.auto()
    """Nobody: its body is no JSON, as it says itself, or comes from a page that does not say it is."""
    CONTROL = enum.auto()


_UPGRADES = {Route.WEBSOCKET, Route.LINK}
_SOCKETS = {_WEBSOCKET_PATH: Route.WEBSOCKET, _LINK_PATH: Route.LINK}
# How heads begin that ask for a WebSocket.
WEBSOCKET = b"GET /ws"
# Also of what no route takes, such as one with a query.
PUBLISH = re.compile(rb"POST /api/publish(?:/batch)?[ ?]")
_HOT = {b"/api/publish": Route.PUBLISH, b"/api/publish/batch": Route.BATCH}
_PROBES = {b"/health": Route.PROBE, b"/health/ready": Route.PROBE, b"/metrics": Route.SCRAPE}


class Head(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request without its body. Equal bytes give equal heads."""

    route: Route
    content_length: int
    """Bytes of the body that follows; 0 if there is none, or if it is chunked."""
    chunked: bool
    keep_alive: bool
    """Whether another request may follow: HTTP/1.1 without `Connection: close`, or 1.0 with `keep-alive`."""
    says_kept: bool
    """Whether the answer has to say so, for a client of HTTP/1.0."""
    expects_continue: bool
    wants_upgrade: bool
    idempotency_key: str | None
    request_id: str | None
    origin: str | None
    is_of_page: bool
    """Whether a browser asks for a page, or says so."""
    headers: dict[str, str]
    """Names in lower case, repeated ones joined by a comma where they may be repeated."""
    is_open: bool
    """Whether it is answered whoever asks: documents, probes, and what browsers ask before they ask."""
    trace: tuple[str, str] | None = None
    """Its `traceparent` and `tracestate`, which are not in `headers`."""
    forward: bytes
    """The head for the control plane, without the empty line at its end and, for a chunked body,
    without a length: the body is passed on whole."""

    @property
    def target(self) -> bytes:
        """The address with its query."""
        return self.forward.split(b" ", 2)[1]

    @property
    def is_publish(self) -> bool:
        """Whether it asks to publish, whoever answers."""
        return PUBLISH.match(self.forward) is not None


def parse_head(raw: bytes) -> Head:
    """Parse a head; `raw` ends with its first empty line and holds no other.

    Raises InvalidRequest, and LimitReached `headers_too_large` for too many headers or a long URL;
    after either, nothing that follows on the connection can be understood.
    """
    lines = _read(raw)
    version = raw.lstrip().split(b"\r\n", 1)[0][-9:]
    if version not in (_MODERN, b" HTTP/1.0"):
        raise InvalidRequest("the request line does not end in HTTP/1.1 or HTTP/1.0")
    if lines.method == b"CONNECT":
        # What follows is no HTTP, and the control plane would log it as an upgrade that it does not know.
        raise InvalidRequest("this server is no proxy: it does not take CONNECT")
    _check_target(lines.url)
    headers = _join(lines.headers)
    modern = version == _MODERN
    if modern and "host" not in headers:
        raise InvalidRequest("the Host header is missing", field="Host")
    connection = _tokens(headers, "connection")
    content_length = int(headers.get("content-length", "0"))
    chunked = _is_chunked(headers, modern)
    # RFC 9112 §9.3. The control plane gets it as HTTP/1.1, because uvicorn keeps no other.
    says_kept = not modern and "keep-alive" in connection and "close" not in connection
    route = _route(lines.method, lines.url)
    is_of_page = not _PAGE_HEADERS.isdisjoint(headers)
    if (content_length or chunked) and route not in _UPGRADES:
        route = _readable(route, headers, is_of_page=is_of_page)
    return Head(
        route=route,
        content_length=content_length,
        chunked=chunked,
        keep_alive=(modern and "close" not in connection) or says_kept,
        says_kept=says_kept,
        expects_continue=modern and "100-continue" in _tokens(headers, "expect"),
        wants_upgrade=modern and "upgrade" in connection and "upgrade" in headers,
        idempotency_key=headers.get("idempotency-key"),
        request_id=headers.get("x-request-id"),
        origin=headers.get("origin"),
        is_of_page=is_of_page,
        headers=headers,
        is_open=_is_open(lines.method, lines.url),
        forward=b"%b %b%b\r\n%b"
        % (lines.method, lines.url, _MODERN if says_kept else version, lines.forward()),
    )


def cut_credential(raw: bytes) -> tuple[bytes, bytes | None]:
    """A head without its `Authorization`, `X-API-Key`, `X-Internal-Secret` and `Cookie` headers, and what was
    in it; None for none, empty for what is no `Bearer`, behind INTERNAL the secret of a node. Behind COOKIES
    all cookies, if there is nothing else: browsers send them by themselves.

    Raises InvalidRequest if there are two: of two servers in a row each could go by another one.
    """
    # Behind the request line: ends of lines may stand before it.
    begin = len(raw) - len(raw.lstrip(b"\r\n"))
    found = _CREDENTIAL.search(raw, begin)
    if found is None:
        return raw, None
    left: list[bytes] = []
    cookies: list[bytes] = []
    credential, end = None, 0
    while found is not None:
        left.append(raw[end : found.start()])
        end = found.end()
        name, value = found[1].lower(), found[2].strip(b" \t")
        if name == b"cookie":
            cookies.append(value)
        elif credential is None:
            credential = _credential(name, value)
        else:
            raise InvalidRequest(
                "there are two credentials: give one Authorization or one X-API-Key header",
                field="Authorization",
            )
        found = _CREDENTIAL.search(raw, end)
    if credential is None and cookies:
        credential = COOKIES + b"; ".join(cookies)
    return b"".join(left) + raw[end:], credential


def _credential(name: bytes, value: bytes) -> bytes:
    if name == b"authorization":
        scheme = _BEARER.match(value)
        return b"" if scheme is None else value[scheme.end() :]
    return INTERNAL + value if name == b"x-internal-secret" else value


def cut_trace(raw: bytes) -> tuple[bytes, tuple[str, str] | None]:
    """A head without its `traceparent` and `tracestate` headers, and what was in them. None for none; two
    of the former are not valid together, and several of the latter are one."""
    # Behind the request line: ends of lines may stand before it.
    begin = len(raw) - len(raw.lstrip(b"\r\n"))
    given: dict[bytes, list[bytes]] = {b"parent": [], b"state": []}
    left, end = [], 0
    for found in _TRACE.finditer(raw, begin):
        given[found[1].lower()].append(found[2].strip(b" \t"))
        left.append(raw[end : found.start()])
        end = found.end()
    if not left:
        return raw, None
    parent, state = (b",".join(each).decode("latin-1") for each in given.values())
    return b"".join(left) + raw[end:], (parent, state) if given[b"parent"] else None


known_head = lru_cache(maxsize=KNOWN_HEADS_MAX_COUNT)(parse_head)


class _Lines:
    """What llhttp finds; it calls the methods by their names."""

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True

    def forward(self) -> bytes:
        return b"".join(
            b"%b: %b\r\n" % header for header in self.headers if header[0] not in _NOT_FORWARDED
        )


def _read(raw: bytes) -> _Lines:
    lines = _Lines()
    parser = httptools.HttpRequestParser(lines)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise InvalidRequest(f"the request is malformed: {error}") from error
    if not lines.complete:
        raise InvalidRequest("the request is malformed: it has no request line")
    if len(lines.headers) > HEADERS_MAX_COUNT:
        raise LimitReached(f"more than {HEADERS_MAX_COUNT} headers", code="headers_too_large")
    lines.method = parser.get_method()
    return lines


def _check_target(url: bytes) -> None:
    if len(url) > URL_MAX_BYTES:
        raise LimitReached(f"the URL is over {URL_MAX_BYTES} bytes", code="headers_too_large")
    try:
        path = httptools.parse_url(url).path
    except httptools.HttpParserInvalidURLError:
        path = None
    if not path:
        raise InvalidRequest("the request's target has no path")


def _join(lines: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name in _ONCE:
            raise InvalidRequest(f"the {name} header is given twice", field=name)
        else:
            headers[name] += f", {value}"
    return headers


def _is_chunked(headers: dict[str, str], modern: bool) -> bool:
    """llhttp has refused a length beside it, but takes codings before `chunked` and HTTP/1.0."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if not modern:
        raise InvalidRequest(
            "HTTP/1.0 has no Transfer-Encoding: send the body with Content-Length, or use HTTP/1.1",
            field="Transfer-Encoding",
        )
    if coding.lower() != "chunked":
        raise InvalidRequest("the only transfer coding is chunked", field="Transfer-Encoding")
    return True


def _readable(route: Route, headers: dict[str, str], *, is_of_page: bool) -> Route:
    """The route of a request with a body, unless the body is none that is read."""
    if not _NO_CODING.issuperset(_tokens(headers, "content-encoding")):
        return Route.ENCODED
    media_type = headers.get("content-type", "").split(";", 1)[0].strip().lower()
    # A page may send what is no JSON, or has no type, without being asked where it comes from.
    if _JSON.fullmatch(media_type) or (media_type in ("", _FORM) and not is_of_page):
        return route
    return Route.MISTYPED


def _tokens(headers: dict[str, str], name: str) -> list[str]:
    return [token.strip() for token in headers.get(name, "").lower().split(",")]


def _is_open(method: bytes, url: bytes) -> bool:
    path = url.split(b"?", 1)[0]
    return method == b"OPTIONS" or path in _OPEN or path.startswith(_OPEN_BELOW)


def _route(method: bytes, url: bytes) -> Route:
    if method == b"POST":
        return _HOT.get(url, Route.CONTROL)
    path = url.split(b"?", 1)[0]
    if method == b"GET" and path in _SOCKETS:
        return _SOCKETS[path]
    return _PROBES.get(path, Route.CONTROL) if method in _PROBE_METHODS else Route.CONTROL
