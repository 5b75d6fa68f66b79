"""Where a server is, and the proxy on the way to it.

One rule for HTTP and WebSocket: the proxy is what `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`
say; and there is none to an address of this machine, because a proxy elsewhere would reach itself there.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import SplitResult, urlsplit

from conduit.errors import InvalidRequest
from conduit.redaction import redacted

DEFAULT_URL = "http://127.0.0.1:8080"

_PROXIES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, repr=False)
class Place:
    """A server, by an address that can be connected to."""

    url: str
    """Without a slash at its end."""
    proxy: str | None
    """The address of the proxy to go through."""

    @property
    def shown(self) -> str:
        """The address for people and logs: without its password, and with the proxy."""
        where = without_password(self.url)
        return where if self.proxy is None else f"{where} through {without_password(self.proxy)}"

    def __repr__(self) -> str:
        return f"Place({self.shown!r})"

    @property
    def has_password(self) -> bool:
        """Whether a name or a password stands in it."""
        return "@" in urlsplit(self.url).netloc

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read what is sent: it is encrypted, or stays on this machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or _is_this_machine(parts.hostname or "")

    @property
    def websocket_url(self) -> str:
        """Where WebSockets are."""
        return f"ws{self.url.removeprefix('http')}/ws"


def find(url: str) -> Place:
    """The server at `url`. Raises InvalidRequest: `invalid_url`, and `invalid_proxy` for a proxy of the
    environment that cannot be used."""
    try:
        parts = _split(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError("it must begin with http:// or https://")
        if parts.query or parts.fragment:
            raise ValueError("it has something behind ? or #")
    except ValueError as error:
        raise InvalidRequest(
            f"{redacted(url)!r} is not an address such as {DEFAULT_URL}: {error}",
            code="invalid_url",
        ) from None
    return Place(parts.geturl().rstrip("/"), _proxy(parts))


def without_password(url: str) -> str:
    """The address without the name and password that may stand in it."""
    before, at, host = url.rpartition("@")
    return f"{before.partition('://')[0]}://{host}" if at else url


def _split(url: str) -> SplitResult:
    """Raises ValueError for an address that nothing can be at."""
    parts = urlsplit(url)
    host = parts.hostname
    if not host:
        raise ValueError("it names no host")
    if not url.isprintable() or " " in url:
        raise ValueError("it has a blank or a control character in it")
    if not _is_ip(host):
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ValueError(f"{host!r} cannot be the name of a host") from error
    if parts.port == 0:
        raise ValueError("its port must be 1 to 65535")
    return parts


def _proxy(server: SplitResult) -> str | None:
    host = server.hostname or ""
    if _is_this_machine(host):
        return None
    # Not on top: it loads much, and most servers are on this machine.
    from urllib.request import getproxies, proxy_bypass

    port = server.port or (443 if server.scheme == "https" else 80)
    proxies = getproxies()
    proxy = proxies.get(server.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{port}"):
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        scheme = _split(url).scheme
        if scheme not in _PROXIES:
            raise ValueError("it must begin with http://, https://, socks5:// or socks5h://")
        if scheme.startswith("socks") and find_spec("socksio") is None:
            raise ValueError("proxies of this kind need the package socksio")
    except ValueError as error:
        raise InvalidRequest(
            f"the environment names the proxy {without_password(proxy)!r}, which cannot be used: {error}",
            code="invalid_proxy",
        ) from None
    return url


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_this_machine(host: str) -> bool:
    if not _is_ip(host):
        return host == "localhost" or host.endswith(".localhost")
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified
