"""What one run does, and the messages of it: each has its number, its publisher and when it was due."""

from __future__ import annotations

import dataclasses
import math
import re
import socket
from typing import Protocol

from conduit.load.process import Counters, counters

# From the start of the processes to the first send.
LEAD_S = 0.6
# What a payload needs at least: its fields, with the longest numbers.
SIZE_MIN_BYTES = 100
_PAD = b'{"pad":"%b",%b}'
_FIELDS = b'"n":%d,"from":%d,"due":%d,"run":"%b"'

# What the processes tell each other, each written by one of them: `board` makes it.
STOP, SENT, ANSWERED, REFUSED, RECEIVED, SINCE, ENDED, DUE = range(8)


class Outgoing(Protocol):
    """One connection that publishes: the bytes of one system."""

    connection: socket.socket

    def request(self, payload: bytes) -> bytes:
        """A publish of this payload."""

    def answers(self, data: bytes) -> list[str]:
        """The answers that end in what was read: "" for a message that is stored, else the code."""

    def last(self) -> bytes:
        """What is to be sent behind the last publish."""

    def due(self, sent: int) -> int:
        """How many answers there will be to so many publishes and `last`."""


class Incoming(Protocol):
    """One subscriber: the bytes of one system."""

    connection: socket.socket

    def reply(self, data: bytes) -> bytes:
        """What is to be sent for what was read: acks, and answers to pings."""


class System(Protocol):
    """How to speak to what is measured; it goes to the processes of the load."""

    @property
    def name(self) -> str:
        """Which it is."""

    @property
    def numbers_messages(self) -> bool:
        """Whether all subscribers see all messages of a topic in one order, not only each publisher's."""

    def outgoing(self, plan: Plan) -> Outgoing:
        """A connection to publish on. Raises ConduitError."""

    def incoming(self, plan: Plan, number: int) -> Incoming:
        """A subscriber that is confirmed. Raises ConduitError."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run does. Without a rate the loop is closed: each publisher waits for its answer."""

    system: System
    topic: str
    rate: float | None
    seconds: float
    warm_up_s: float
    publishers: int
    subscribers: int
    size_bytes: int
    run: str = "latency"
    acks: bool = False
    subscription: str | None = None
    """The durable one that the subscribers share."""
    max_messages: int = 10_000_000
    is_timed: bool = False
    """Whether answers are read when they come, and their latency is measured; else they are counted."""
    quiet_s: float = 0.3
    drain_s: float = 60.0
    """So much longer it may take until everything has come."""

    @property
    def count(self) -> int:
        """How many messages are sent at most: in an open loop those that are due within its time."""
        if self.rate is None:
            return self.max_messages
        # What floats add at the end is no message.
        due = math.ceil(self.rate * (self.warm_up_s + self.seconds) - 1e-6)
        return min(due, self.max_messages)

    def due_ns(self, first_ns: int, number: int) -> int:
        """When a message is to leave, if the first one leaves then."""
        assert self.rate is not None
        return first_ns + int(number * 1_000_000_000 / self.rate)

    def payload(self, number: int, publisher: int, due_ns: int) -> bytes:
        """The number is one of its publisher's own. Of `size_bytes`, if the fields have room in them."""
        fields = _FIELDS % (number, publisher, due_ns, self.run.encode())
        return _PAD % (b"x" * (self.size_bytes - len(fields) - len(_PAD % (b"", b""))), fields)

    @property
    def fields(self) -> re.Pattern[bytes]:
        """Finds number, publisher and due time of the payloads of this run."""
        return re.compile(rb'"n":(\d+),"from":(\d+),"due":(\d+),"run":"%b"' % self.run.encode())

    def board(self) -> Counters:
        """Where its processes tell how far they are; behind DUE what each publisher has sent."""
        return counters(DUE + self.publishers)
