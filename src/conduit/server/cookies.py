"""The cookie of a page's session, as browsers send it and are told it."""

from __future__ import annotations

# A page of another origin cannot send it: no preflight allows it. It has the id of the page's session, or
# ANY_SESSION.
COOKIE_HEADER = "x-conduit-session"
# Of `Sec-Fetch-Site`: pages of the server itself, and who opens an address by hand.
OWN_SITES = frozenset({"same-origin", "none"})
# The signature of each is checked.
COOKIES_MAX_COUNT = 8


def sessions_in(cookies: bytes, name: str) -> list[str]:
    """The values of the cookies of this name, COOKIES_MAX_COUNT at most: browsers send one for each path
    above the page, and what another server of the same host has set."""
    found = []
    for pair in cookies.split(b";"):
        key, _, value = pair.strip(b" \t").partition(b"=")
        if key == name.encode():
            found.append(value.decode("latin-1"))
    return found[:COOKIES_MAX_COUNT]


def cookie_line(name: str, value: str, path: str, *, is_secure: bool) -> str:
    """What the browser is told; no value: it is to forget it. Without an end it is gone with the browser."""
    gone = "" if value else "; Max-Age=0"
    secure = "; Secure" if is_secure else ""
    return f"{name}={value}; Path={path}{gone}; HttpOnly; SameSite=Strict{secure}"
