"""Whose pages may call."""

import pytest

from conduit.errors import Forbidden
from conduit.server.origins import Origins

APP = "https://app.example"
MANY = Origins(f"{APP},http://localhost:5173")


def allows(origins: Origins, **headers: str) -> bool:
    try:
        origins.check({name.replace("_", "-"): value for name, value in headers.items()})
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("origins", [Origins(), MANY, Origins("")])
def test_who_is_no_browser_may_call(origins):
    assert allows(origins)
    assert allows(origins, host="conduit.example")


@pytest.mark.parametrize("origin", [APP, "http://localhost:5173"])
def test_pages_that_are_named_may_call(origin):
    assert allows(MANY, origin=origin, host="localhost:8080")
    assert MANY.headers(origin)["access-control-allow-origin"] == origin
    assert MANY.lines[origin] == f"access-control-allow-origin: {origin}\r\n".encode()
    assert MANY.names(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil",
        "https://app.example:444",
        "https://sub.app.example",
        "http://localhost:5174",
        "http://localhost",
        "null",
        "",
        "*",
        f"{APP}, {APP}",
        f"{APP},http://localhost:5173",
    ],
)
def test_pages_of_other_origins_may_not(origin):
    for has_auth in (False, True):
        origins = Origins(MANY.allowed, has_auth=has_auth)
        assert not allows(origins, origin=origin, host="127.0.0.1:8080")
        assert "access-control-allow-origin" not in origins.headers(origin)
        assert origin not in origins.lines


def test_null_is_allowed_where_it_is_named():
    assert allows(Origins(f"null,{APP}"), origin="null")


def test_with_a_star_all_may_and_none_is_named():
    origins = Origins("*")
    for origin in (APP, "null", "https://evil.example"):
        assert allows(origins, origin=origin)
        assert origins.headers(origin)["access-control-allow-origin"] == "*"
        assert not origins.names(origin)
    assert "vary" not in origins.headers(None)
    assert not origins.lines


def test_caches_are_told_that_answers_differ():
    for origin in (None, APP, "https://evil.example"):
        assert MANY.headers(origin)["vary"] == "Origin"
    assert "access-control-allow-origin" not in MANY.headers(None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8080", "localhost:8080"),
        ("http://localhost:8080", "LOCALHOST:8080"),
        ("http://localhost", "localhost:80"),
        ("http://conduit.localhost:8080", "conduit.localhost:8080"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://192.168.0.7:8080", "192.168.0.7:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]"),
        ("https://10.0.0.1", "10.0.0.1"),
    ],
)
def test_pages_of_the_server_itself_may_call(origin, host):
    assert allows(MANY, origin=origin, host=host, sec_fetch_site="same-origin")


def test_a_name_of_its_own_is_proof_only_where_a_key_is_needed():
    """Else whoever gives his name the server's address has a page of the server's origin."""
    own = {"origin": "https://conduit.example", "host": "conduit.example"}
    assert not allows(Origins(APP), **own)
    assert allows(Origins(APP, has_auth=True), **own)
    assert allows(Origins("https://conduit.example"), **own)
    assert not allows(Origins(APP), origin="http://localhost.evil", host="localhost.evil")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8081", "localhost:8080"),
        ("http://127.0.0.1:8080", "localhost:8080"),
        ("http://localhost:8080", ""),
        ("localhost:8080", "localhost:8080"),
        ("http://", ""),
        ("null", "null"),
        ("https://localhost:80", "localhost:80x"),
        ("http://localhost", "localhost:443"),
    ],
)
def test_another_port_or_name_is_another_origin(origin, host):
    for has_auth in (False, True):
        assert not allows(Origins(APP, has_auth=has_auth), origin=origin, host=host)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_other_pages_ask_for_without_their_origin_is_refused(site):
    """Pictures, scripts, styles."""
    for mode in ("no-cors", "cors", "websocket"):
        assert not allows(MANY, sec_fetch_site=site, sec_fetch_mode=mode)
        assert allows(Origins("*"), sec_fetch_site=site, sec_fetch_mode=mode)
    assert not allows(MANY, sec_fetch_site=site)
    # A link.
    assert allows(MANY, sec_fetch_site=site, sec_fetch_mode="navigate")


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_what_the_user_or_a_page_of_the_server_asks_for_is_answered(site):
    assert allows(MANY, sec_fetch_site=site, sec_fetch_mode="cors")


def test_the_refusal_says_which_setting_it_is():
    with pytest.raises(Forbidden, match="CORS_ORIGIN") as caught:
        MANY.check({"origin": "https://evil.example"})
    assert (caught.value.code, caught.value.field) == ("forbidden", "Origin")
