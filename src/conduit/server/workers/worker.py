"""A worker's own side: which one it is, and the ear that it has for its supervisor.

They have a socket between them. The supervisor sends the number of each signal that it gets, as a byte. Its
end of it says that the supervisor is gone: then the worker ends too, in order. A thread listens, so that the
process has its last deadline also if the loop hangs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from conduit.server.workers.places import Place, worker_name

# What the supervisor is told: that this worker listens.
SERVING = b"s"
ORDERS_MAX_BYTES = 64
# What all workers see at the same time. The first one's log tells it; of the others only what is wrong.
OF_ALL = ("conduit.cluster.links.links", "conduit.cluster.membership", "conduit.cluster.tenure")


class Obeying(Protocol):
    """The server, as it takes orders."""

    def ordered(self, number: signal.Signals) -> None:
        """The supervisor got this signal."""

    def stop(self, why: str) -> None:
        """End in order. Idempotent."""

    def set_last_deadline(self) -> None:
        """Be gone in time, also if the loop hangs. Called in another thread."""


class Worker:
    """One of several servers that share a port. `number` is from 1 on; `tells`: its log tells how all of them
    are set; `channel` is the socket to the supervisor."""

    def __init__(self, number: int, place: Place, channel: socket.socket, *, tells: bool) -> None:
        self.number = number
        self.place = place
        self.tells = tells
        self._channel = channel
        self._obey: Callable[[int | None], None] = _end_at_once
        self._obeying = threading.Lock()

    def begin(self) -> None:
        """Listen to the supervisor. An order that comes before `obey` ends the process at once, as a signal
        would another program."""
        threading.Thread(target=self._listen, name="conduit-orders", daemon=True).start()

    def quieten(self) -> None:
        """Leave to the first worker's log what all would tell, unless everything is wanted. After logging is
        configured."""
        level = logging.getLogger().level
        if self.number > 1 and level > logging.DEBUG:
            for name in OF_ALL:
                logging.getLogger(name).setLevel(max(level, logging.WARNING))

    def names(self, node_id: str, port: int) -> tuple[str, str]:
        """What it is called as a node, and what instead if somebody alive has that name: a worker of another
        supervisor on this machine, which has another port."""
        return worker_name(node_id, self.number), worker_name(f"{node_id}-{port}", self.number)

    def obey(self, server: Obeying) -> None:
        """From now on. In the loop."""
        loop = asyncio.get_running_loop()
        is_first = True

        def pass_on(number: int | None) -> None:
            nonlocal is_first
            if is_first:
                is_first = False
                server.set_last_deadline()
                # The others end at the same time, which is no news.
                logging.getLogger(OF_ALL[0]).setLevel(logging.ERROR)
            # Of a loop that has ended: so does the process.
            with suppress(RuntimeError):
                if number is None:
                    loop.call_soon_threadsafe(server.stop, "the supervisor is gone")
                else:
                    loop.call_soon_threadsafe(server.ordered, signal.Signals(number))

        with self._obeying:
            self._obey = pass_on

    def serves(self) -> None:
        """Let the supervisor know that this worker listens."""
        # Who is gone is told nothing, and the other thread hears of that.
        with suppress(OSError):
            self._channel.send(SERVING)

    def _listen(self) -> None:
        while orders := self._received():
            for number in orders:
                with self._obeying:
                    self._obey(number)
        with self._obeying:
            self._obey(None)

    def _received(self) -> bytes:
        try:
            return self._channel.recv(ORDERS_MAX_BYTES)
        except OSError:
            return b""


def _end_at_once(_number: int | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
