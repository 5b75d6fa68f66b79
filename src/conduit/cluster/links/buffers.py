"""What the system keeps of what a link has sent: little, so that a ping is not behind megabytes of hints."""

from __future__ import annotations

import asyncio
import socket

# With so much not sent yet the system takes no more (TCP_NOTSENT_LOWAT). Else it takes up to four megabytes,
# and a link of 1 MB/s would be lost for its own hints.
UNSENT_MAX_BYTES = 131_072
# Linux and macOS have it; elsewhere Python has no name for it.
_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def keep_short(transport: asyncio.BaseTransport) -> None:
    """Bound it, where the system can."""
    if _OPTION is not None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _OPTION, UNSENT_MAX_BYTES)
