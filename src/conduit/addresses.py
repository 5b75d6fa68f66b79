"""Whose connections are counted together: by address, but for proxies, behind which are many."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# Loopback, private (RFC 1918, RFC 4193) and link-local networks.
_PRIVATE = (
    "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7,169.254.0.0/16,fe80::/10"
)
# What one customer gets of IPv6: he has 2⁶⁴ addresses.
_IPV6_PREFIX_BITS = 64
_KNOWN_MAX_COUNT = 4_096


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks that are separated by commas; `private` stands for all private ones, `none`,
    alone, for none. Raises ValueError with what they must be."""
    if text.strip() == "none":
        return ()
    found: list[IPv4Network | IPv6Network] = []
    for each in text.split(","):
        name = each.strip()
        try:
            plain = _PRIVATE if name == "private" else name
            found += [ip_network(network) for network in plain.split(",")]
        except ValueError:
            raise ValueError(
                "must be addresses, networks such as 203.0.113.0/24, or private; or none, alone: "
                f"{name!r} is none of these"
            ) from None
    return tuple(found)


class Addresses:
    """Knows which addresses are trusted, and which are one."""

    def __init__(self, trusted: str) -> None:
        self._trusted = networks(trusted)
        self.key = lru_cache(maxsize=_KNOWN_MAX_COUNT)(self._key)
        """What a peer's address is counted by; None if it is trusted, or none is known."""

    def _key(self, text: str) -> str | None:
        address = _parse(text)
        if address is None or any(address in network for network in self._trusted):
            return None
        return _name(address)


@lru_cache(maxsize=_KNOWN_MAX_COUNT)
def peer_name(text: str) -> str:
    """Whose address this is, also if it is trusted."""
    address = _parse(text)
    return text if address is None else _name(address)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX_BITS), strict=False))
    return str(address)
