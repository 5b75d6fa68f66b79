"""Whose pages may call: what `CORS_ORIGIN` means, for each request and for each WebSocket.

A browser says by headers that no page can change where a request comes from. Whoever is no browser sends none
of them, and is not judged here. See docs/decisions/0047.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from conduit.errors import Forbidden

ANY = "*"
EXPOSED = "x-request-id, retry-after"
# Of `Sec-Fetch-Site`: pages of other origins.
_FOREIGN_SITES = frozenset({"cross-site", "same-site"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """The origins in `allowed`, separated by commas, or `*`.

    Pages of the server itself may call as well. That the page and the server have the same name is proof only
    if nobody else can give that name to the server's address (DNS rebinding): an address, or localhost. Where
    everybody has to say who he is (`has_auth`), a name will do, because no browser sends a key by itself.
    """

    def __init__(self, allowed: str = ANY, *, has_auth: bool = False) -> None:
        self.allowed = allowed
        self.is_any = allowed == ANY
        self.has_auth = has_auth
        self._named = frozenset(() if self.is_any else filter(None, allowed.split(",")))
        self.lines: dict[str | None, bytes] = {}
        """The header that lets a page read an answer, as a line, by the `Origin` of its request."""
        self.common: dict[str, str] = {"access-control-expose-headers": EXPOSED}
        """Headers of all answers."""
        if self.is_any:
            self.common = {"access-control-allow-origin": ANY, **self.common}
        else:
            # A cache must not give one origin's answer to another.
            self.common["vary"] = "Origin"
            for origin in self._named:
                self.lines[origin] = b"access-control-allow-origin: %b\r\n" % origin.encode()

    def headers(self, origin: str | None) -> dict[str, str]:
        """Those of an answer to a request with this `Origin`."""
        if origin is not None and origin in self._named:
            return {"access-control-allow-origin": origin, **self.common}
        return dict(self.common)

    def names(self, origin: str | None) -> bool:
        """Whether it is allowed by its name, and not because all are."""
        return origin in self._named

    def check(self, headers: Mapping[str, str]) -> None:
        """Judge a request by its headers, names in lower case. Raises Forbidden."""
        origin = headers.get("origin")
        if self.is_any or origin in self._named:
            return
        if origin is None:
            # A picture, a script or the like, for which pages ask without their origin. A link is followed by
            # a person, and what it leads to no page can read.
            is_foreign = headers.get("sec-fetch-site") in _FOREIGN_SITES
            if is_foreign and headers.get("sec-fetch-mode") != "navigate":
                raise self._refusal("Sec-Fetch-Site")
        elif not self._is_own(origin, headers.get("host", "").lower()):
            raise self._refusal("Origin")

    def _is_own(self, origin: str, host: str) -> bool:
        # The scheme does not count: in front of us may be a proxy that speaks TLS.
        scheme, _, place = origin.partition("://")
        if not place or host.removesuffix(_DEFAULT_PORTS.get(scheme, "none")) != place:
            return False
        return self.has_auth or _is_fixed(place)

    def _refusal(self, field: str) -> Forbidden:
        who = f"pages of {self.allowed} may" if self.allowed else "no page may"
        return Forbidden(
            f"{who} call this address, and no others; CORS_ORIGIN says which", field=field
        )


def _is_fixed(place: str) -> bool:
    """Whether nobody can give the host another address: it is an address, or the machine itself."""
    host = place.rpartition("]")[0].removeprefix("[") if "]" in place else place.split(":", 1)[0]
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
