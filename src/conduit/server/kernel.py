"""What the system knows of a socket: what its buffer holds, and what the peer has taken.

A socket takes more from us only when a third of its buffer is free, which may be megabytes: for a slow reader
it takes nothing for minutes, and the reader takes all the time from there.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

from conduit.addresses import peer_name

_COUNT = struct.Struct("i")
# The system does not say, or the socket is closed: its descriptor is -1 then, which Python refuses.
_UNKNOWN = (OSError, ValueError)
# Of Linux; elsewhere Python has no name for it.
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
# `tcpi_bytes_acked` in `struct tcp_info` of <linux/tcp.h>, since Linux 4.1.
_ACKED = struct.Struct("Q")
_ACKED_AT = 120


def peer_of(transport: asyncio.BaseTransport | None) -> tuple[str, int] | None:
    """Address and port of the other side; None if they are not known: it was gone before it was let in."""
    try:
        peer = None if transport is None else transport.get_extra_info("peername")
    except (*_UNKNOWN, AttributeError):
        # uvloop asks the system until it knows, also when the socket is closed, or is no more.
        return None
    return (peer[0], peer[1]) if isinstance(peer, tuple) else None


def peer_address(transport: asyncio.BaseTransport | None) -> str:
    """Whose connection it is, for what one address keeps; the same for all of which that is not known."""
    peer = peer_of(transport)
    return "" if peer is None else peer_name(peer[0])


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Bytes that were sent and that the peer's system has not taken yet (`man 7 tcp`, SIOCOUTQ); 0 where the
    system does not say."""
    try:
        found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except _UNKNOWN:
        return 0
    return int(_COUNT.unpack(found)[0])


def taken_bytes(transport: asyncio.Transport) -> int:
    """A count that grows by each byte that the peer's system has taken.

    Where the system does not say, by what it has taken from us: then less counts as taken.
    """
    if _TCP_INFO is not None:
        length = _ACKED_AT + _ACKED.size
        try:
            info = transport.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, _TCP_INFO, length
            )
        except _UNKNOWN:
            info = b""
        if len(info) == length:
            return int(_ACKED.unpack_from(info, _ACKED_AT)[0])
    return -transport.get_write_buffer_size()
