"""Who can use the server, in words: for its first log line, a warning, and `/health`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from conduit.server.origins import Origins


class Exposure(msgspec.Struct, frozen=True):
    """Whether keys are asked for (`enabled`); if not, from where and whose pages may do everything."""

    enabled: bool
    open_to: Literal["network", "loopback"] | UnsetType = UNSET
    pages: Literal["any", "named"] | UnsetType = UNSET

    @property
    def told(self) -> str:
        """For the line that says where the server listens."""
        if self.enabled:
            return "auth: keys and tokens"
        if self.pages == "any":
            return (
                "auth: none, so any web page that you visit can use this server; restrict it with "
                "CORS_ORIGIN or ENABLE_AUTH=true"
            )
        return "auth: none"

    @property
    def warning(self) -> str | None:
        """For the log, if others than this machine's users may do everything."""
        if self.open_to != "network":
            return None
        return (
            "whoever reaches this port can read, publish and delete everything, because ENABLE_AUTH is not "
            "set: set ENABLE_AUTH=true, or CONDUIT_HOST=127.0.0.1 to be reached from this machine only"
        )


def exposure(addresses: Iterable[str], origins: Origins, *, has_auth: bool) -> Exposure:
    """Of a server that listens on these addresses."""
    if has_auth:
        return Exposure(True)
    is_local = all(is_loopback(each) for each in addresses)
    return Exposure(
        False, "loopback" if is_local else "network", "any" if origins.is_any else "named"
    )


def is_loopback(address: str) -> bool:
    """Whether only this machine's users reach what listens there."""
    return ipaddress.ip_address(address.split("%")[0]).is_loopback
