"""What the system's own buffer of a socket holds."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

_COUNT = struct.Struct("i")


def untaken_bytes(transport: asyncio.Transport) -> int:
    """Bytes that were sent and that the peer's system has not taken yet; 0 where the system does not say.

    A socket takes more only when a third of its buffer is free, which may be megabytes: a slow reader takes
    nothing from us for minutes, and all the time from there (`man 7 tcp`, SIOCOUTQ).
    """
    try:
        found = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(_COUNT.unpack(found)[0])
