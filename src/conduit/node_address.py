"""`NODE_ADDR`: where the other nodes reach this one."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

# A name of RFC 1123, or such as Docker Compose has.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_IPV4 = re.compile(r"[\d.]+\.[\d.]*")
_PORT = re.compile(r"[0-9]{1,5}")
_FORM = "must be host:port or :port, as server-1:8080"


def check(text: str) -> None:
    """Raise ValueError with what it must be."""
    host, colon, port = text.rpartition(":")
    if not (colon and _PORT.fullmatch(port) and 0 < int(port) < 1 << 16):
        raise ValueError(f"{_FORM}, with a port of 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        _check_address(host[1:-1], is_ipv6=True)
    elif ":" in host:
        raise ValueError("must have an IPv6 address in brackets, as [2001:db8::1]:8080")
    elif _IPV4.fullmatch(host):
        _check_address(host, is_ipv6=False)
    elif host and not _NAME.fullmatch(host):
        raise ValueError(f"{_FORM}, with a name that the other nodes resolve")


def advertised(text: str | None, hostname: str, port: int) -> str:
    """What the others are told: `text`, which has been checked, with the name of this machine if it names no
    host; without any text that name, and the port at which this node listens."""
    if text is None:
        return f"{hostname}:{port}"
    return f"{hostname}{text}" if text.startswith(":") else text


def _check_address(host: str, *, is_ipv6: bool) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError(f"{_FORM}: {host} is no address") from None
    # A zone means something else on each machine.
    if isinstance(address, IPv6Address) is not is_ipv6 or "%" in host:
        raise ValueError(f"{_FORM}, in brackets only an IPv6 address, and that without a zone")
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"must be where the other nodes reach this one: {host} is no such address")


def loopback_of(host: str) -> str | None:
    """The address that `host` (a name, or an address, of IPv6 in brackets) is, if only this machine can reach
    it; else None."""
    if host == "localhost":
        return "127.0.0.1"
    text = host.removeprefix("[").removesuffix("]")
    try:
        return text if ip_address(text).is_loopback else None
    except ValueError:
        return None
