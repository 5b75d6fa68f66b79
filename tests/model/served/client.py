"""A client on a real socket, whose frames wait until the model can be told of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections import deque

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from conduit.protocol.frames import Ack, Extend, Nack, Reject, Subscribe
from tests.model.oracle.from_peers import Seen
from tests.model.oracle.log import Topic

REMEMBERED_COUNT = 50
CLOSE_TIMEOUT_S = 2.0

_decode = msgspec.json.Decoder(Seen).decode
_encode = msgspec.json.encode


class SocketClient:
    """`frames` are those that came and were not told yet; `received` the deliveries that were."""

    def __init__(self, slot: int, url: str) -> None:
        self.slot = slot
        self.frames: deque[Seen] = deque()
        self.received: deque[Seen] = deque(maxlen=REMEMBERED_COUNT)
        self.expected: dict[str, str] = {}
        """What must be answered to each ref."""
        self.asked: Subscribe | None = None
        """The subscribe that has no answer yet."""
        self.is_sent_away = False
        """The server is about to close the connection."""
        self.is_gone = False
        """The connection has ended, by whoever."""
        self._refs = itertools.count(1)
        self._open = contextlib.ExitStack()
        self._connection = self._open.enter_context(
            connect(
                url, compression=None, max_queue=None, proxy=None, close_timeout=CLOSE_TIMEOUT_S
            )
        )

    def __str__(self) -> str:
        return f"client {self.slot}"

    def next_ref(self) -> str:
        """One that was not used before."""
        return f"{self.slot}-{next(self._refs)}"

    def send(self, frame: Subscribe | Ack | Nack | Reject | Extend) -> None:
        """Send it; nothing happens if the connection has ended."""
        try:
            self._connection.send(_encode(frame).decode())
        except ConnectionClosed:
            self.is_gone = True

    def unsubscribe(self, topic: str, name: str | None) -> None:
        """Leave one subscription."""
        fields = {"type": "unsubscribe", "topic": topic, "subscription": name}
        self._connection.send(json.dumps({key: value for key, value in fields.items() if value}))

    def poll(self) -> None:
        """Take what has come."""
        try:
            while True:
                self.frames.append(_decode(self._connection.recv(timeout=0)))
        except TimeoutError:
            return
        except ConnectionClosed:
            self.is_gone = True

    def close(self, *, lost: bool) -> None:
        """Leave in good order, or break off."""
        self.is_gone = True
        if lost:
            # The server may have been first.
            with contextlib.suppress(OSError):
                self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def attempt_of(self, place: tuple[str | None, Topic, int]) -> int:
        """See `Client.attempt_of`."""
        name, topic, seq = place
        for frame in reversed(self.received):
            if (frame.subscription, frame.epoch, frame.seq) == (name, topic.epoch, seq):
                return frame.attempt
        return 1
