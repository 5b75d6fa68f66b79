"""Where workers listen: together at one port, and each at an address by which other nodes know it.

With `NODE_ADDR` the first worker has its port, and each next one the next port. Without it their ports are
free ones of loopback: then nobody outside of this machine reaches one of them alone.
"""

from __future__ import annotations

import secrets
import socket
from typing import NamedTuple

from pydantic import SecretStr

from conduit import node_address
from conduit.settings import Settings

LOOPBACK = "127.0.0.1"
# Of a secret that is made up: of each it has six bits.
SECRET_BYTES = 32


class Place(NamedTuple):
    """Of one worker."""

    host: str
    """Where it listens alone …"""
    port: int
    """… and at which port; 0: a free one."""
    named: str
    """The host by which other nodes reach it, in brackets if it is an IPv6 address."""
    admin_port: int | None
    """The operator's; 0: a free one; None: there is none."""

    @property
    def address(self) -> str:
        """What other nodes are told."""
        return f"{self.named}:{self.port}"


def places(settings: Settings) -> list[Place]:
    """Of all workers, in their order."""
    named, first = LOOPBACK, 0
    if settings.node_addr is not None:
        told = node_address.advertised(settings.node_addr, socket.gethostname(), 0)
        named, _, port = told.rpartition(":")
        first = int(port)
    host = node_address.loopback_of(named) or settings.host
    admin = settings.admin_port
    return [
        Place(host, first and first + at, named, admin and admin + at)
        for at in range(settings.workers)
    ]


def with_secret(settings: Settings) -> Settings:
    """The same with a secret of the cluster, which is made up if there is none: the workers are all of it
    then, and this process and they have it in memory only."""
    if settings.internal_secret is not None:
        return settings
    made = SecretStr(secrets.token_urlsafe(SECRET_BYTES))
    return settings.model_copy(update={"internal_secret": made})


def worker_name(node_id: str, number: int) -> str:
    """What a worker is called as a node."""
    return f"{node_id}-{number}"
