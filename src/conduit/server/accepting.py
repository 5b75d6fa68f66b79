"""New connections: all that wait are taken from the kernel at once, and made as there is time, by address.

libuv accepts one connection in a turn for each socket that listens, the first first. As long as others keep
the turns busy, a newcomer would so wait a turn for each that came before it. Whoever is accepted is a sign
that there may be more, and these are accepted here. To accept takes microseconds; to make a connection, and
to read what it says, takes more, and thousands come at once when a server or a network is back. So they wait
here, and in each turn some are made, one of each address and then the next: whoever comes with thousands
waits for these, and nobody else does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from time import perf_counter

from conduit.addresses import peer_name
from conduit.core.rotation import Rotation

# For how long some are accepted in one turn: hundreds, but ten times fewer while they still come in.
ACCEPT_MAX_S = 0.001
# In a turn so many are made, which with what each of them says first takes about two milliseconds.
MADE_MAX_COUNT = 16
# Where a server is full, so many wait all the same: for a refusal, or as the probe of somebody.
EXCESS_MAX_COUNT = 32


class Accepting:
    """Accepts from sockets that listen, besides the loop. Call `connected` for each new connection.

    `room`: how many connections more there may be.
    """

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self._sockets: Sequence[socket.socket] = ()
        # Accepted, and not begun yet.
        self._waiting: Rotation[socket.socket] = Rotation()
        # Of connections that are not made yet, which takes a turn.
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_due = False

    def begin(
        self, sockets: Sequence[socket.socket], new: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        """From now on, from these; `new` makes a connection's protocol."""
        self._sockets, self._new = sockets, new

    def connected(self) -> None:
        """Accept the others that wait."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    async def end(self) -> None:
        """Accept nobody any more, and wait until those that were accepted are connections: whoever tells all
        to leave would miss them."""
        self._sockets = ()
        # Whom the loop has accepted is made in its next turn.
        await asyncio.sleep(0)
        while self._waiting:
            self._make()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _turn(self) -> None:
        self._is_due = False
        until = perf_counter() + ACCEPT_MAX_S
        has_more = False
        for listening in self._sockets:
            has_more |= self._accept(listening, until)
        for _ in range(min(MADE_MAX_COUNT, self._waiting.count)):
            self._make()
        if has_more or self._waiting:
            self.connected()

    def _accept(self, listening: socket.socket, until: float) -> bool:
        """Those that wait there, until then; whether there may be more."""
        most = max(0, self._room()) + EXCESS_MAX_COUNT
        while self._waiting.count < most and perf_counter() < until:
            try:
                accepted, address = listening.accept()
            except OSError:
                # Nobody waits. If there are no files left or the server stops, the loop sees to it.
                return False
            self._waiting.put(peer_name(address[0]), accepted)
        return True

    def _make(self) -> None:
        _, accepted = self._waiting.take()
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._new, accepted))
        self._tasks.add(task)
        task.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # A connection that was gone at once: there is nobody to tell.
            task.exception()
