import pytest

from conduit.server.dashboard.choosing import best_encoding, is_known, wants_html

# What browsers send for an address that somebody has typed.
BROWSERS = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
)


@pytest.mark.parametrize("accept", [*BROWSERS, "TEXT/HTML", "text/html;q=0.5"])
def test_browsers_want_a_page(accept):
    assert wants_html(accept)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "text/html;q=0",
        "text/html;q=0.5, application/json",
        "text/html;q=nonsense",
        ";;;,,,;q=1",
    ],
)
def test_programs_want_json(accept):
    assert not wants_html(accept)


@pytest.mark.parametrize(
    ("accepted", "best"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.1", "gzip"),
        ("*", "br"),
        ("*;q=0, gzip", "gzip"),
        ("br;q=0, *", "gzip"),
        ("identity", None),
        ("", None),
        (None, None),
        ("gzip;q=0", None),
        (", ".join(["x"] * 1000) + ", gzip", None),
    ],
)
def test_the_smallest_form_is_given_that_the_client_takes(accepted, best):
    assert best_encoding(accepted, {"br", "gzip"}) == best


def test_a_form_that_is_not_there_is_not_given():
    assert best_encoding("br, gzip", {"gzip"}) == "gzip"
    assert best_encoding("br, gzip", ()) is None


@pytest.mark.parametrize("known", ['"a"', 'W/"a"', '"b", "a"', "*", '"b" , W/"a"'])
def test_what_the_client_has_is_known_by_its_tag(known):
    assert is_known('"a"', known)


@pytest.mark.parametrize("known", [None, "", '"b"', "a", 'W/"b"'])
def test_anything_else_is_not(known):
    assert not is_known('"a"', known)
