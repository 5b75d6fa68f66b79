"""`python -m tests.support.former serve`: a node of a version before this one.

It has leases, links and hints, and owns subscriptions, but does nothing for other nodes: it knows none of the
channels and questions that came later. What it is told and does not know it refuses, as every version does.
"""

from __future__ import annotations

from conduit.__main__ import main
from conduit.cluster import this_node
from conduit.cluster.exchange import Exchange
from conduit.cluster.links.channels import Channel, ChannelUser
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.requests import Asked
from conduit.errors import InvalidRequest

VERSION = "0.0.9"


def _no_channel(_: Exchange, __: Identity, ___: Channel, kind: str, ____: bytes) -> ChannelUser:
    raise InvalidRequest(f"this version has no channels for {kind!r}")


def _no_request(_: Exchange, __: Identity, asked: Asked) -> None:
    raise InvalidRequest(f"this version answers no {asked.kind!r}")


if __name__ == "__main__":
    this_node.__version__ = VERSION
    Exchange.on_channel = _no_channel
    Exchange.on_request = _no_request
    main()
