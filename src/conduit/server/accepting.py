"""New connections: all that wait are accepted in one turn of the loop.

libuv accepts one connection in a turn for each socket that listens. As long as others keep the turns busy, a
newcomer would so wait a turn for each that came before it. Whoever is accepted is a sign that there may be
more, and these are accepted here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

# In one turn; the next ones in the next.
ACCEPTS_MAX_COUNT = 128


class Accepting:
    """Accepts from sockets that listen, besides the loop. Call `connected` for each new connection."""

    def __init__(self) -> None:
        self._sockets: Sequence[socket.socket] = ()
        # Of connections that are not made yet, which takes a turn.
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(
        self, sockets: Sequence[socket.socket], new: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        """From now on, from these; `new` makes a connection's protocol."""
        self._sockets, self._new = sockets, new

    def connected(self) -> None:
        """Accept the others that wait, unless this is one of them."""
        if self._tasks:
            return
        for listening in self._sockets:
            for _ in range(ACCEPTS_MAX_COUNT):
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    # Nobody waits. If there are no files left or the server stops, the loop sees to it.
                    break
                self._begin(accepted)

    async def end(self) -> None:
        """Accept nobody any more, and wait until those that were accepted are connections: whoever tells all
        to leave would miss them."""
        self._sockets = ()
        # Whom the loop has accepted is made in its next turn.
        await asyncio.sleep(0)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, accepted: socket.socket) -> None:
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
