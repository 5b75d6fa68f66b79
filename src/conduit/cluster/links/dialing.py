"""Calling another node: from its address to a link, or to the reason why there is none."""

from __future__ import annotations

import asyncio
import os
import re
import socket

from picows import WSError, WSHandshakeError

from conduit.cluster.links.dialed import DialedWire, Opened
from conduit.cluster.links.handshake import HANDSHAKE_TIMEOUT_S, Dialer
from conduit.errors import InvalidRequest, Unavailable

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<host>[^\s:/?#@\[\]]+)):(?P<port>[0-9]{1,5})"
)
# What a refused upgrade is told to mean, where the status says that.
_STATUSES = {
    404: "it has no /internal/link: its INTERNAL_SECRET is not set, or it is an older version",
    503: "it is stopping, or has as many connections as it may",
}


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises InvalidRequest."""
    found = _ADDRESS.fullmatch(address)
    port = 0 if found is None else int(found["port"])
    if found is None or not 0 < port <= 65_535:
        raise InvalidRequest(f"{address!r} is no address: it must be host:port or [IPv6]:port")
    return found["v6"] or found["host"], port


async def dial(address: str, handshake: Dialer, opened: Opened) -> None:
    """Call a node and begin a link: `opened` has been called when this returns.

    Raises ConduitError, with a text for the log, if there is none within HANDSHAKE_TIMEOUT_S. Cancelling is
    safe: the socket is dropped, unless the link has begun.
    """
    host, port = split_address(address)
    wire = DialedWire(handshake, opened)
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await _connect(wire, host, port)
            await wire.settled
    except TimeoutError:
        raise Unavailable(
            f"there was no link within {HANDSHAKE_TIMEOUT_S:g} s: it was still {wire.doing}"
        ) from None
    finally:
        if not wire.is_linked:
            wire.abort()


async def _connect(wire: DialedWire, host: str, port: int) -> None:
    """Open the WebSocket. Raises Unavailable."""
    try:
        await wire.open(host, port)
    except socket.gaierror as error:
        raise Unavailable(f"the name {host!r} cannot be resolved: {error.strerror}") from error
    except UnicodeError as error:
        raise Unavailable(
            f"the name {host!r} cannot be resolved: it is no name of a host"
        ) from error
    except WSHandshakeError as error:
        status = None if error.response is None else int(error.response.status)
        told = "something else than HTTP" if status is None else f"HTTP status {status}"
        meaning = _STATUSES.get(status or 0, "what answers there is no node of this cluster")
        raise Unavailable(f"it answers with {told}: {meaning}") from error
    except WSError as error:
        raise Unavailable("what answers there is no node of this cluster") from error
    except OSError as error:
        raise Unavailable(_why(error)) from error


def _why(error: OSError) -> str:
    # uvloop and asyncio put addresses into their texts, and several errors into one.
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
