"""What is known of a socket whose other side was gone before it was let in."""

import asyncio
import socket
import struct

from conduit.server import kernel
from conduit.server.closings import Closings
from conduit.server.entrance import Entrance
from conduit.server.unsigned import Unsigned

RESET = struct.pack("ii", 1, 0)


class Gone(asyncio.Protocol):
    """Keeps the transport, and tells its end."""

    def __init__(self):
        self.transport, self.lost = None, asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.lost.set()


async def gone_transport():
    """A connection that was reset before the server took it, and is closed here."""
    protocol = Gone()
    server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
    await protocol.lost.wait()
    server.close()
    return protocol.transport


async def test_whose_it_was_is_not_known_and_that_is_no_error():
    transport = await gone_transport()
    assert kernel.peer_of(transport) is None
    assert kernel.peer_address(transport) == ""
    Closings().count("auth", transport)
    entrance = Entrance(10, 10, "private", 10)
    entrance.enter("it", transport)
    entrance.leave("it")


class Forgetful:
    """A socket whose address nobody knows in the end."""

    address = "192.0.2.1"


def test_a_socket_whose_address_is_forgotten_leaves_those_that_have_not_signed_in():
    unsigned, who = Unsigned(10), Forgetful()
    unsigned.add(who)
    who.address = ""
    unsigned.remove(who)
    unsigned.remove(who)
    assert len(unsigned) == 0
    assert unsigned._addresses == {}
