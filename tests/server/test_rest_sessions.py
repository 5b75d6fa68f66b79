"""Signing in to the dashboard, over HTTP, and what a session's cookie is worth."""

import re
from typing import Any

import pytest

from conduit.grants import Grant
from conduit.protocol.codec import format_time
from conduit.server.cookies import COOKIE_HEADER, COOKIES_MAX_COUNT, sessions_in
from conduit.server.rest.edge import ALLOWED_HEADERS
from conduit.tenancy.page_sessions import RENEWED_AFTER_S, SESSION_IDLE_S
from tests.server.guarded import DEFAULT_KEY, Guarded, bearer, closed, heard, open_guarded, said
from tests.server.peer import ANSWER, REQUEST
from tests.server.port import TOPIC, publish, request
from tests.tenancy.registered import OPERATOR

MARK = "X-Conduit-Session: 1"


@pytest.fixture
async def guarded():
    async with open_guarded() as guarded:
        yield guarded


async def signed_in(guarded: Guarded, key: str, *more: str, path: str = "/") -> Any:
    lines = ("Content-Type: application/json", *more)
    return await guarded.ask("POST", "/api/session", key, {"path": path}, *lines)


def cookie_of(answer: Any) -> str:
    """As the browser sends it."""
    assert answer.status in (200, 201), answer
    return "Cookie: " + answer.headers["set-cookie"].partition(";")[0]


async def by_cookie(guarded: Guarded, cookie: str, method: str, path: str, *more: str) -> Any:
    return await guarded.ask(method, path, "", None, cookie, MARK, *more)


async def test_a_key_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Guarded):
    key = (await guarded.key()).text
    answer = await signed_in(guarded, key, path="/a/b/")
    assert answer.status == 201
    assert set(answer.json) == {"ends_at", "idle_s", "id"}
    assert re.fullmatch(
        r"conduit_session_[0-9a-f]{8}=cs_[\w-]+\.[\w-]+; Path=/a/b/; HttpOnly; SameSite=Strict",
        answer.headers["set-cookie"],
    )
    assert answer.headers["cache-control"] == "no-store"
    assert key not in str(answer)


@pytest.mark.parametrize(
    ("origin", "is_secure"),
    [("https://events.example", True), ("http://127.0.0.1:8080", False), (None, False)],
)
async def test_by_tls_it_is_for_tls_only(guarded: Guarded, origin, is_secure):
    guarded.port.context.origins.is_any = True
    more = () if origin is None else (f"Origin: {origin}",)
    answer = await signed_in(guarded, (await guarded.key()).text, *more)
    assert answer.headers["set-cookie"].endswith("; Secure") == is_secure


@pytest.mark.parametrize(
    "path", ["", "a/", "/a", "//a", "/a;/", "/a b/", "/a/\r\nX: y/", "/ä/", "/" + "a" * 600 + "/"]
)
async def test_a_path_that_is_none_is_refused(guarded: Guarded, path):
    answer = await signed_in(guarded, (await guarded.key()).text, path=path)
    assert (answer.status, answer.json["field"]) == (400, "path")
    assert "set-cookie" not in answer.headers


async def test_the_cookie_counts_as_the_key_does(guarded: Guarded):
    made = await guarded.key(Grant(scope="publish", topics=(TOPIC,)), Grant(scope="manage"))
    cookie = cookie_of(await signed_in(guarded, made.text))
    asked = format_time(guarded.port.broker.clock.wall_ms())
    who = await by_cookie(guarded, cookie, "GET", "/api/whoami")
    assert (who.status, who.json["key_id"]) == (200, made.record.key_id)
    assert (who.json["key_name"], who.json["actor"]) == ("a key", f"key:{made.record.key_id}")
    assert who.json["session"]["idle_s"] == SESSION_IDLE_S
    assert who.json["expires_at"] == who.json["session"]["ends_at"]
    assert asked <= who.json["now"] <= format_time(guarded.port.broker.clock.wall_ms())
    assert (await by_cookie(guarded, cookie, "GET", "/api/keys")).status == 200
    client = await guarded.port.connect()
    await client.send(publish(1, cookie, MARK))
    assert (await client.answer()).status == 200
    assert (await by_cookie(guarded, cookie, "GET", "/api/tenants")).status == 403


async def test_without_the_header_that_no_foreign_page_can_send_it_counts_nothing(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, (await guarded.key()).text))
    for lines in ((cookie,), (cookie, "Sec-Fetch-Site: same-origin"), (cookie, "X-Other: 1")):
        assert (await guarded.ask("GET", "/api/whoami", "", None, *lines)).status == 401
    guarded.port.context.origins.is_any = True
    for site in ("cross-site", "same-site", "who-knows"):
        answer = await by_cookie(guarded, cookie, "GET", "/api/whoami", f"Sec-Fetch-Site: {site}")
        assert answer.status == 401, site
    for site in ("same-origin", "none"):
        answer = await by_cookie(guarded, cookie, "GET", "/api/whoami", f"Sec-Fetch-Site: {site}")
        assert answer.status == 200, site
    client = await guarded.port.connect()
    await client.send(publish(1, cookie))
    assert (await client.answer()).status == 401
    # No page of another origin gets leave to send it, and none to use cookies at all.
    assert COOKIE_HEADER not in ALLOWED_HEADERS
    asked = ("Origin: http://evil.example", "Access-Control-Request-Method: POST")
    preflight = await guarded.ask("OPTIONS", "/api/session", "", None, *asked)
    assert "access-control-allow-credentials" not in preflight.headers
    assert COOKIE_HEADER not in preflight.headers["access-control-allow-headers"]


async def test_a_page_of_another_origin_is_refused_with_the_cookie_too(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, (await guarded.key()).text))
    foreign = await by_cookie(guarded, cookie, "GET", "/api/whoami", "Origin: http://evil.example")
    assert (foreign.status, foreign.json["field"]) == (403, "Origin")


async def test_a_cookie_opens_no_websocket_and_signs_nobody_in_there(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, (await guarded.key()).text))
    value = cookie.partition("=")[2]
    client = await guarded.port.connect()
    await client.send(REQUEST.replace(b"\r\n\r\n", f"\r\n{cookie}\r\n{MARK}\r\n\r\n".encode()))
    await client.reader.readexactly(len(ANSWER))
    await client.send(said(type="subscribe", topic=TOPIC))
    assert (await heard(client))["code"] == "unauthenticated"
    assert await closed(client) == 4501
    again = await guarded.socket()
    await again.send(said(type="auth", token=value))
    assert (await heard(again))["code"] == "unauthenticated"
    for line in (bearer(value), f"X-API-Key: {value}"):
        assert (await guarded.ask("GET", "/api/whoami", "", None, line, MARK)).status == 401


async def test_a_ticket_of_a_session_is_a_socket_that_ends_with_it(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, (await guarded.key()).text))
    client = await guarded.port.connect()
    await client.send(request("POST", "/api/tickets", b"{}", cookie, MARK))
    ticket = (await client.answer()).json["ticket"]
    socket = await guarded.socket(path=f"/ws?ticket={ticket}")
    await socket.send(said(type="heartbeat"))
    assert (await heard(socket))["type"] == "heartbeat_ack"
    assert (await by_cookie(guarded, cookie, "DELETE", "/api/session")).status == 204
    guarded.check(guarded.port.context.now())
    assert (await heard(socket))["code"] == "unauthenticated"
    assert await closed(socket) == 4501


async def test_no_token_is_made_in_a_session_as_it_would_outlive_it(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, DEFAULT_KEY))
    client = await guarded.port.connect()
    body = b'{"scopes":[{"scope":"subscribe"}],"ttl_s":60}'
    await client.send(request("POST", "/api/tokens", body, cookie, MARK))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


async def test_signing_out_forgets_the_cookie_and_ends_the_session(guarded: Guarded):
    made = await guarded.key()
    cookie = cookie_of(await signed_in(guarded, made.text, path="/a/"))
    answer = await by_cookie(guarded, cookie, "DELETE", "/api/session")
    assert answer.status == 204
    name = cookie.partition(" ")[2].partition("=")[0]
    assert answer.headers["set-cookie"] == (
        f"{name}=; Path=/a/; Max-Age=0; HttpOnly; SameSite=Strict"
    )
    assert (await by_cookie(guarded, cookie, "GET", "/api/whoami")).status == 401
    # Nobody is signed out by a request with a key, or by a page that cannot send the header.
    other = cookie_of(await signed_in(guarded, made.text))
    assert (await guarded.ask("DELETE", "/api/session", made.text)).status == 204
    assert (await guarded.ask("DELETE", "/api/session", "", None, other)).status == 401
    assert (await by_cookie(guarded, other, "GET", "/api/whoami")).status == 200


async def test_a_key_beside_the_cookie_is_what_counts(guarded: Guarded):
    one, two = await guarded.key(), await guarded.key()
    cookie = cookie_of(await signed_in(guarded, one.text))
    who = await guarded.ask("GET", "/api/whoami", two.text, None, cookie, MARK)
    assert who.json["key_id"] == two.record.key_id
    wrong = await guarded.ask("GET", "/api/whoami", "ck_live_wrong", None, cookie, MARK)
    assert wrong.status == 401


async def test_a_connection_that_stays_is_judged_at_each_request(guarded: Guarded):
    made = await guarded.key()
    cookie = cookie_of(await signed_in(guarded, made.text))
    client = await guarded.port.connect()
    asked = request("GET", "/api/whoami", None, cookie, MARK)
    told = publish(1, cookie, MARK)
    for status in (200, 401):
        for each in (asked, asked, told, told):
            await client.send(each)
            assert (await client.answer()).status == status
        await by_cookie(guarded, cookie, "DELETE", "/api/session")


async def test_a_key_that_is_revoked_takes_its_sessions_along(guarded: Guarded):
    made = await guarded.key()
    cookie = cookie_of(await signed_in(guarded, made.text))
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    assert (await by_cookie(guarded, cookie, "GET", "/api/whoami")).status == 401
    # A page that asks on has not tried to sign in.
    assert sum(guarded.port.context.audit._failed.values()) == 0


async def test_whoami_renews_it(guarded: Guarded, monkeypatch):
    made = await guarded.key()
    cookie = cookie_of(await signed_in(guarded, made.text, path="/a/"))
    who = await by_cookie(guarded, cookie, "GET", "/api/whoami")
    assert "set-cookie" not in who.headers
    clock = guarded.port.broker.clock
    now_ms = clock.wall_ms() + RENEWED_AFTER_S * 1_000
    monkeypatch.setattr(clock, "wall_ms", lambda: now_ms)
    newer = await by_cookie(guarded, cookie, "GET", "/api/whoami")
    assert "; Path=/a/; HttpOnly; SameSite=Strict" in newer.headers["set-cookie"]
    assert cookie_of(newer) != cookie
    again = await by_cookie(guarded, cookie_of(newer), "GET", "/api/whoami")
    assert again.json["session"] == who.json["session"]


async def test_cookies_that_are_wrong_are_counted_as_failed_sign_ins(guarded: Guarded):
    cookie = cookie_of(await signed_in(guarded, (await guarded.key()).text))
    failed = guarded.port.context.audit._failed
    assert sum(failed.values()) == 0
    for wrong in (cookie + "x", cookie.replace("cs_", "cs_A")):
        answer = await by_cookie(guarded, wrong, "GET", "/api/whoami")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert sum(failed.values()) == 2
    # Cookies of others on the same host are nobody's.
    other = await by_cookie(guarded, "Cookie: theme=dark; id=5", "GET", "/api/whoami")
    assert (other.status, sum(failed.values())) == (401, 2)


async def test_sign_in_with_what_is_no_good_key_is_refused_as_everywhere(guarded: Guarded):
    made = await guarded.key()
    await guarded.accounts.revoke_key(OPERATOR, made.record.key_id)
    for key in ("", "ck_live_wrong", made.text):
        answer = await signed_in(guarded, key)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert "set-cookie" not in answer.headers
    assert sum(guarded.port.context.audit._failed.values()) == 2


@pytest.mark.parametrize(
    ("cookies", "found"),
    [
        (b"n=v", ["v"]),
        (b"a=1; n=v; b=2", ["v"]),
        (b"a=1;n=v=w", ["v=w"]),
        (b"nn=v; n2=w", []),
        (b"n=v; n=w", ["v", "w"]),
        (b"", []),
        (b"n", [""]),
        (b"n=v;" * 100, ["v"] * COOKIES_MAX_COUNT),
    ],
)
def test_cookies_are_found_by_their_name(cookies, found):
    assert sessions_in(cookies, "n") == found
