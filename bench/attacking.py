"""Carries an attack out: a process with plain sockets, which costs as little as Python allows.

The bytes are made before, and sent in large pieces; what comes back is thrown away in the kernel. The sockets
come from 127.0.0.2 and on, so that a server that counts connections by address can tell them from others.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import dataclasses
import errno
import gc
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable

from bench import attacks, loads, strangers, wire
from bench.attacks import Attack, Then

# Others on the machine are not held up by the attacker itself.
NICE = 10
# So much is handed to the kernel at once, and thrown away at once.
SEND_BYTES = 1 << 18
DISCARD_BYTES = 1 << 20
# With a small window what is not read stays with the server.
UNREAD_BYTES = 4_096
SENT_MAX_BYTES = 16 << 30
FIRST_ADDRESS = 2
# <linux/in.h>: bind(2) takes no port yet, so that the address has as many as there are peers.
IP_BIND_ADDRESS_NO_PORT = 24
# <asm-generic/socket.h>, and a filter (<linux/filter.h>) that lets nothing in: what the peer sends is dropped
# and not acknowledged, as if nobody was there. It needs no right.
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_NOTHING = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
_NOTHING_COMES_IN = struct.pack("HP", 1, ctypes.addressof(_NOTHING))
# Between two bytes that trickle, and before a connection vanishes.
LATER_S = 1.0
# What has vanished is not kept for longer, whoever looks.
UNSEEN_MAX_S = 120.0
# Of a close frame with 4501, which says that the key is good no more.
_DROPPED = b"\x11\x95"
_CLOSE_FRAME = b"\x88\x82\0\0\0\0" + _DROPPED


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which attack, where, and for how long."""

    port: int
    name: str
    short: bool
    seconds: float
    is_seen: loads.Counters
    """What has vanished is closed when it is not 0 any more."""
    keys: tuple[str, ...] = ()
    """With which it signs in: the first one, and where it is dropped halfway, the second."""
    tokens: tuple[str, ...] = ()


@dataclasses.dataclass
class Sent:
    """How much it was."""

    sent_bytes: int = 0
    blocks: int = 0
    """Sent whole."""
    units: int = 0
    """What was in them."""
    opened: int = 0
    """Connections that could be used; a WebSocket after its handshake."""
    closed: int = 0
    """Of these, by the server."""
    refused: int = 0
    """Connections that ended before."""


def attack(ready: Callable[[], None], plan: Plan) -> Sent:
    """The load: attack for so long, then close everything."""
    os.nice(NICE)
    attacker = _Attacker(plan)
    gc.disable()
    ready()
    attacker.run()
    return attacker.sent


class _Connection:
    """One connection of the attacker."""

    def __init__(self, own: socket.socket, websocket: bool) -> None:
        self.socket = own
        self.is_open = False
        self.rest: memoryview | None = None
        """What is still to be sent of the bytes that are on their way."""
        self.in_block = False
        self.is_websocket = websocket
        self.answer = b""


class _Attacker:
    """All connections of one attack."""

    def __init__(self, plan: Plan) -> None:
        self.sent = Sent()
        self._plan = plan
        self._attack: Attack = strangers.named(plan.name, plan.short)
        self._keys = iter(plan.keys)
        self._poll = select.epoll()
        self._by_fd: dict[int, _Connection] = {}
        # What is done with connections one after the other, and when.
        self._later: deque[tuple[float, _Connection]] = deque()
        self._gone: list[socket.socket] = []
        self._opening = 0
        self._tried = 0
        self._bin = bytearray(DISCARD_BYTES)
        strangers.PURSE.tokens = plan.tokens
        self._sign()

    def _sign(self) -> None:
        """Be somebody, or somebody else: what is sent from now on has the next key."""
        wire.CALLER.key = next(self._keys, "")
        self._block = memoryview(self._attack.block())
        self._units = self._attack.count(bytes(self._block))
        nonce = base64.b64encode(bytes(16)).decode()
        signed = [wire.CALLER.line.strip()] if self._attack.upgrade_signed else []
        self._upgrade = attacks.get(
            "/ws",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {nonce}",
            "Sec-WebSocket-Version: 13",
            *signed,
        )

    def run(self) -> None:
        """Attack until the time is over."""
        began = time.monotonic()
        end = began + self._plan.seconds
        dropped_at = began + self._plan.seconds / 2 if self._attack.drops else None
        while (now := time.monotonic()) < end and self.sent.sent_bytes < SENT_MAX_BYTES:
            if dropped_at is not None and now >= dropped_at:
                dropped_at = None
                self._sign()
            self._open_more()
            self._do_later(now)
            for fd, events in self._poll.poll(min(end - now, 0.05)):
                if (connection := self._by_fd.get(fd)) is not None:
                    self._serve(connection, events)
        if self._attack.then is Then.VANISH:
            for connection in tuple(self._by_fd.values()):
                self._vanish(connection)
            end = time.monotonic() + UNSEEN_MAX_S
            while not self._plan.is_seen[0] and time.monotonic() < end:
                time.sleep(LATER_S / 10)
        for own in self._gone:
            own.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            own.close()
        for connection in self._by_fd.values():
            connection.socket.close()

    def _open_more(self) -> None:
        attack = self._attack
        while (
            len(self._by_fd) + len(self._gone) < attack.connections
            and self._opening < attack.opening
            and self._tried < attack.opened_max
        ):
            self._open()

    def _do_later(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            connection = self._later.popleft()[1]
            if connection.socket.fileno() < 0:
                continue
            if self._attack.then is Then.VANISH:
                self._vanish(connection)
            elif connection.rest:
                with contextlib.suppress(OSError):
                    self._send(connection, 1)
                self._later.append((now + LATER_S, connection))

    def _vanish(self, connection: _Connection) -> None:
        """Nobody is there any more, and no word of it is on the way."""
        own = connection.socket
        self._poll.unregister(own.fileno())
        del self._by_fd[own.fileno()]
        own.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _NOTHING_COMES_IN)
        self._gone.append(own)

    def _open(self) -> None:
        own = socket.socket()
        own.setblocking(False)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if not self._attack.reads:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        own.bind((f"127.0.0.{FIRST_ADDRESS + self._tried % self._attack.addresses}", 0))
        code = own.connect_ex(("127.0.0.1", self._plan.port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        self._tried += 1
        self._opening += 1
        self._by_fd[own.fileno()] = _Connection(own, self._attack.websocket)
        self._poll.register(own.fileno(), select.EPOLLOUT | select.EPOLLRDHUP)

    # What happens to one of them ------------------------------------------------------------------

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & select.EPOLLIN:
                self._read(connection)
            elif events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self._ended(connection)
            if events & select.EPOLLOUT and connection.socket.fileno() >= 0:
                self._write(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._ended(connection)

    def _write(self, connection: _Connection) -> None:
        if connection.rest is None:
            # The first time that it can be written to: it is connected.
            if connection.is_websocket:
                connection.rest = memoryview(self._upgrade)
            else:
                self._begin(connection)
        if connection.in_block and self._attack.then is Then.TRICKLE:
            self._later.append((time.monotonic(), connection))
            self._watch(connection, 0)
            return
        self._send(connection, SEND_BYTES)
        if not connection.rest:
            self._sent_all(connection)

    def _send(self, connection: _Connection, most: int) -> None:
        rest = connection.rest
        if rest:
            count = connection.socket.send(rest[:most])
            self.sent.sent_bytes += count
            connection.rest = rest[count:]

    def _begin(self, connection: _Connection) -> None:
        """It can be used."""
        connection.is_open = True
        self._opening -= 1
        self.sent.opened += 1
        first = self._attack.first
        connection.in_block = not first
        connection.rest = memoryview(first) if first else self._block
        self._watch(connection, select.EPOLLOUT)

    def _sent_all(self, connection: _Connection) -> None:
        if connection.is_open and not connection.in_block:
            connection.in_block, connection.rest = True, self._block
            return
        if connection.in_block:
            self.sent.blocks += 1
            self.sent.units += self._units
            if self._attack.then is Then.VANISH:
                self._later.append((time.monotonic() + LATER_S, connection))
            if self._attack.then is Then.AGAIN:
                connection.rest = self._block
                return
            if self._attack.then is Then.CLOSE:
                self._close(connection)
                return
        self._watch(connection, 0)

    def _watch(self, connection: _Connection, more: int) -> None:
        reads = self._attack.reads or not connection.is_open
        events = more | select.EPOLLRDHUP | (select.EPOLLIN if reads else 0)
        self._poll.modify(connection.socket.fileno(), events)

    def _read(self, connection: _Connection) -> None:
        if connection.is_open:
            if self._attack.drops:
                self._hear(connection)
            elif not connection.socket.recv_into(self._bin, DISCARD_BYTES, socket.MSG_TRUNC):
                self._ended(connection)
            return
        part = connection.socket.recv(wire.READ_BYTES)
        connection.answer += part
        if not part or not b"HTTP/1.1 101 ".startswith(connection.answer[:13]):
            self._ended(connection)
        elif b"\r\n\r\n" in connection.answer:
            self._begin(connection)

    def _hear(self, connection: _Connection) -> None:
        """It is closed as soon as the server asks for it, as by any client, to come back at once."""
        data = connection.socket.recv(wire.READ_BYTES)
        if _DROPPED in data:
            connection.socket.send(_CLOSE_FRAME)
        if _DROPPED in data or not data:
            self._ended(connection)

    def _ended(self, connection: _Connection) -> None:
        """The server has closed it; what it answered to a question has come."""
        if connection.socket.fileno() < 0:
            return
        if connection.is_open:
            self.sent.closed += 1
        else:
            self.sent.refused += 1
        self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if not connection.is_open:
            self._opening -= 1
        del self._by_fd[connection.socket.fileno()]
        connection.socket.close()
