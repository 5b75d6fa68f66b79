"""The cookie of a page's session, as browsers send it and are told it."""

from __future__ import annotations

# Whatever is in it. A page of another origin cannot send it: no preflight allows it.
COOKIE_HEADER = "x-conduit-session"
# Of `Sec-Fetch-Site`: pages of the server itself, and who opens an address by hand.
OWN_SITES = frozenset({"same-origin", "none"})


def session_in(cookies: bytes, name: str) -> str | None:
    """The value of the cookie of this name. None if there is none, or are two: of those some other server of
    the same host may have set one."""
    found = None
    for pair in cookies.split(b";"):
        key, _, value = pair.strip(b" \t").partition(b"=")
        if key == name.encode():
            if found is not None:
                return None
            found = value.decode("latin-1")
    return found


def cookie_line(name: str, value: str, path: str, *, is_secure: bool) -> str:
    """What the browser is told; no value: it is to forget it. Without an end it is gone with the browser."""
    gone = "" if value else "; Max-Age=0"
    secure = "; Secure" if is_secure else ""
    return f"{name}={value}; Path={path}{gone}; HttpOnly; SameSite=Strict{secure}"
