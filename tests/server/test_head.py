import pytest

from conduit.errors import ConduitError, InvalidRequest, LimitReached
from conduit.server.head import (
    HEADERS_MAX_COUNT,
    URL_MAX_BYTES,
    Head,
    Route,
    cut_credential,
    cut_trace,
    parse_head,
)

PUBLISH = b"POST /api/publish HTTP/1.1\r\nHost: x\r\n"


def parse(lines: bytes, start: bytes = b"POST /api/publish HTTP/1.1\r\nHost: x\r\n") -> Head:
    return parse_head(start + lines + b"\r\n")


@pytest.mark.parametrize(
    ("line", "route"),
    [
        (b"POST /api/publish", Route.PUBLISH),
        (b"POST /api/publish/batch", Route.BATCH),
        (b"POST /api/publish?x=1", Route.CONTROL),
        (b"POST /api/publish/", Route.CONTROL),
        (b"POST /api/publish%2fbatch", Route.CONTROL),
        (b"POST http://x/api/publish", Route.CONTROL),
        (b"GET /api/publish", Route.CONTROL),
        (b"OPTIONS /api/publish/batch", Route.CONTROL),
        (b"GET /ws", Route.WEBSOCKET),
        (b"GET /ws?token=1", Route.WEBSOCKET),
        (b"GET /ws/", Route.CONTROL),
        (b"GET /wss", Route.CONTROL),
        (b"POST /ws", Route.CONTROL),
        (b"OPTIONS *", Route.CONTROL),
    ],
)
def test_only_the_exact_hot_requests_stay_with_the_front(line, route):
    assert parse(b"", line + b" HTTP/1.1\r\nHost: x\r\n").route is route


def test_a_head_says_what_the_front_needs():
    head = parse(
        b"Content-Length: 12 \r\nIdempotency-Key:\tk 1\r\nX-Request-ID: r\r\n"
        b"Expect: 100-Continue\r\nAccept: a\r\naccept: b\r\n"
    )
    assert (head.content_length, head.chunked, head.keep_alive) == (12, False, True)
    assert (head.idempotency_key, head.request_id) == ("k 1", "r")
    assert head.expects_continue
    assert not head.wants_upgrade
    assert head.headers["accept"] == "a, b"


def test_a_head_without_extras_has_none():
    head = parse(b"")
    assert (head.content_length, head.chunked, head.keep_alive) == (0, False, True)
    assert (head.idempotency_key, head.request_id) == (None, None)
    assert not head.expects_continue


@pytest.mark.parametrize("value", [b"close", b"Close", b"keep-alive, close", b"x,close"])
def test_connection_close_ends_it(value):
    assert not parse(b"Connection: " + value + b"\r\n").keep_alive


def test_http_1_0_ends_with_one_answer_unless_it_asks_for_more_and_needs_no_host():
    for lines in (b"", b"Connection: x\r\n", b"Connection: close, keep-alive\r\n"):
        head = parse(lines, b"GET / HTTP/1.0\r\n")
        assert (head.keep_alive, head.says_kept) == (False, False)
        assert head.forward.startswith(b"GET / HTTP/1.0\r\n")
    head = parse(b"Connection: Keep-Alive\r\n", b"GET / HTTP/1.0\r\n")
    assert (head.keep_alive, head.says_kept) == (True, True)
    assert not parse(b"Connection: keep-alive\r\n").says_kept
    assert parse_head(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue is False


@pytest.mark.parametrize("value", [b"Upgrade", b"keep-alive, Upgrade", b"keep-alive,upgrade"])
def test_an_upgrade_is_seen_among_other_tokens(value):
    assert parse(b"Upgrade: websocket\r\nConnection: " + value + b"\r\n").wants_upgrade


def test_an_upgrade_header_alone_asks_for_nothing():
    assert not parse(b"Upgrade: websocket\r\n").wants_upgrade
    assert not parse(b"Connection: upgrade\r\n").wants_upgrade


def test_what_the_front_has_done_itself_is_not_forwarded():
    head = parse(
        b"Transfer-Encoding: Chunked\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAA\r\nConnection: Upgrade\r\nX-Other:  1 \r\n",
        b"PUT /a?b HTTP/1.1\r\nHost: x\r\n",
    )
    assert head.chunked
    assert head.forward == (
        b"PUT /a?b HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nx-other: 1\r\n"
    )


def test_one_empty_line_before_a_request_is_passed_over():
    assert parse_head(b"\r\n" + PUBLISH + b"\r\n").route is Route.PUBLISH


# What one server could read as one request and the next as two, or as none. A body follows in the
# wild; the head alone must be refused.
SMUGGLING = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: -5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: 5 5\r\n",
    b"Content-Length: 5e0\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Content-Length : 5\r\n",
    b" Content-Length: 5\r\n",
    b"Content-Length\x00: 5\r\n",
    b"Content-Length: 5\x00\r\n",
    b"Content-Length: \xd9\xa5\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunkedx\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding:\r\n",
    b"X: a\r\n folded: Transfer-Encoding\r\n",
    b"X: a\r\n\tfolded\r\n",
    b"X: a\nTransfer-Encoding: chunked\r\n",
    b"X: a\rTransfer-Encoding: chunked\r\n",
    b"X: a\n\r\n",
    b"X\r\n",
    b": a\r\n",
    b"X y: a\r\n",
    b"Host: y\r\n",
    b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n",
    b"Authorization: Bearer a\r\nAuthorization: Bearer a\r\n",
    b"authorization: Bearer a\r\nX: y\r\nAUTHORIZATION:\r\n",
    b"Origin: https://a\r\nOrigin: https://b\r\n",
    b"X-API-Key: a\r\nX-Api-Key: b\r\n",
    b"X-Conduit-Tenant: a\r\nX-Conduit-Tenant: b\r\n",
]


@pytest.mark.parametrize("lines", SMUGGLING)
def test_ambiguous_headers_are_refused(lines):
    with pytest.raises(InvalidRequest) as caught:
        parse(lines)
    assert caught.value.code == "invalid_request"


def test_a_header_that_is_refused_for_coming_twice_is_named():
    with pytest.raises(InvalidRequest, match="the origin header is given twice") as caught:
        parse(b"Origin: https://a\r\nOrigin: https://b\r\n")
    assert caught.value.field == "origin"


@pytest.mark.parametrize(
    ("version", "coding", "words"),
    [
        (b"HTTP/1.0", b"chunked", "HTTP/1.0 has no Transfer-Encoding: send the body with Content"),
        (b"HTTP/1.1", b"gzip, chunked", "the only transfer coding is chunked"),
    ],
)
def test_a_transfer_coding_that_is_not_taken_is_told_why(version, coding, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        parse_head(b"POST / %b\r\nHost: x\r\nTransfer-Encoding: %b\r\n\r\n" % (version, coding))
    assert caught.value.field == "Transfer-Encoding"


def test_other_headers_may_come_twice():
    assert parse(b"Via: a\r\nVia: b\r\n").headers["via"] == "a, b"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\r\n",
        b"GET /\r\n",
        b"GET / HTTP/0.9\r\n",
        b"GET / HTTP/1.2\r\nHost: x\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n",
        b"GET / HTTP/1.1\nHost: x\r\n",
        b"GET / RTSP/1.0\r\n",
        b"GET / x HTTP/1.1\r\nHost: x\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: x\r\n",
        b"GET nowhere HTTP/1.1\r\nHost: x\r\n",
        b"GET http://x HTTP/1.1\r\nHost: x\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: x\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n",
    ],
)
def test_what_is_not_a_request_of_http_1_is_refused(start):
    with pytest.raises(ConduitError) as caught:
        parse_head(start + b"\r\n")
    assert caught.value.code == "invalid_request"


def test_headers_and_url_are_bounded():
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(HEADERS_MAX_COUNT - 1))
    assert parse(many)
    with pytest.raises(LimitReached) as caught:
        parse(many + b"X: 1\r\n")
    assert caught.value.code == "headers_too_large"
    long = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
    assert parse_head(long % (b"a" * (URL_MAX_BYTES - 1)))
    with pytest.raises(LimitReached) as caught:
        parse_head(long % (b"a" * URL_MAX_BYTES))
    assert caught.value.code == "headers_too_large"


@pytest.mark.parametrize("start", [b"", b"\r\n", b"\n", b"\n\r\n", b"\r\n\n\r\n"])
def test_a_credential_that_stands_before_the_request_line_is_none(start):
    raw = start + b"Authorization: Bearer k\r\nPOST /a HTTP/1.1\r\nHost: x\r\n\r\n"
    bare, credential = cut_credential(raw)
    assert (bare, credential) == (raw, None)
    with pytest.raises(InvalidRequest):
        parse_head(bare)
    behind = start + b"POST /a HTTP/1.1\r\nAuthorization: Bearer k\r\nHost: x\r\n\r\n"
    assert cut_credential(behind) == (start + b"POST /a HTTP/1.1\r\nHost: x\r\n\r\n", b"k")


REST = b"Host: x\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "credential"),
    [
        (b"Cookie: a=1\r\n", b"cookies a=1"),
        (b"cookie:a=1; b=2\r\nCOOKIE: c=3 \r\n", b"cookies a=1; b=2; c=3"),
        (b"Cookie: a=1\r\nAuthorization: Bearer k\r\n", b"k"),
        (b"X-API-Key: k\r\nCookie: a=1\r\n", b"k"),
        (b"Cookie: a=1\r\nAuthorization: Basic k\r\nCookie: b=2\r\n", b""),
    ],
)
def test_cookies_are_cut_and_count_only_beside_no_other_credential(lines, credential):
    raw = b"GET /a HTTP/1.1\r\n" + lines + REST
    assert cut_credential(raw) == (b"GET /a HTTP/1.1\r\n" + REST, credential)


@pytest.mark.parametrize(
    ("lines", "trace"),
    [
        (b"", None),
        (b"traceparent: p\r\n", ("p", "")),
        (b"TraceParent:p \r\nTRACESTATE: a=1\r\ntracestate:b=2\r\n", ("p", "a=1,b=2")),
        # Two are not valid together, and none is without the other.
        (b"traceparent: p\r\ntraceparent: q\r\n", ("p,q", "")),
        (b"tracestate: a=1\r\n", None),
    ],
)
def test_the_context_of_a_trace_is_cut_so_that_the_rest_is_the_same_again(lines, trace):
    raw = b"POST /a HTTP/1.1\r\n" + lines + REST
    assert cut_trace(raw) == (b"POST /a HTTP/1.1\r\n" + REST, trace)


@pytest.mark.parametrize("byte", [b"\0", b"\x01", b"\x7f"])
def test_a_context_with_what_no_header_may_have_is_left_to_be_refused(byte):
    raw = b"POST /a HTTP/1.1\r\ntraceparent: p" + byte + b"\r\n" + REST
    assert cut_trace(raw) == (raw, None)
    with pytest.raises(ConduitError):
        parse_head(raw)


@pytest.mark.parametrize("start", [b"", b"\r\n", b"\n\r\n"])
def test_what_stands_before_the_request_line_is_no_context(start):
    raw = start + b"traceparent: p\r\nPOST /a HTTP/1.1\r\n" + REST
    assert cut_trace(raw) == (raw, None)
