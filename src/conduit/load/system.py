"""Conduit as a load speaks to it: publishes over HTTP, subscribers over WebSocket."""

from __future__ import annotations

import dataclasses
import re
import socket

from conduit.errors import ConduitError
from conduit.load.plan import Plan
from conduit.load.wire import HEAD_MAX_BYTES, PING, PONG, REFUSAL, Target, acks_for, blocking

_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


@dataclasses.dataclass(frozen=True)
class Conduit:
    """Publishes at one address and subscribes at another, which may be the same."""

    at: Target
    follow_at: Target
    name: str = "conduit"
    numbers_messages: bool = True

    def outgoing(self, plan: Plan) -> Publisher:
        """A connection to publish on. Raises ConduitError."""
        return Publisher(self.at, plan.topic)

    def incoming(self, plan: Plan, number: int) -> Subscriber:
        """A subscriber that is confirmed. Raises ConduitError."""
        fields: dict[str, object] = {"topic": plan.topic, "create": plan.subscription is not None}
        if plan.subscription is not None:
            fields["subscription"] = plan.subscription
        fields["ack"] = "explicit" if plan.acks else "auto"
        return Subscriber(self.follow_at.subscribe(**fields), acks=plan.acks)


class Publisher:
    """One connection, over which single publishes follow each other without waiting."""

    def __init__(self, at: Target, topic: str) -> None:
        self.connection = at.connect()
        blocking(self.connection)
        self._at = at
        self._body = b'{"topic":"%b","payload":' % topic.encode()
        self._rest = b""

    def request(self, payload: bytes) -> bytes:
        """A publish of this payload."""
        return self._at.request("/api/publish", self._body + payload + b"}")

    def answers(self, data: bytes) -> list[str]:
        """The answers that end in what was read: "" for a message that is stored, else the code."""
        data, at, codes = self._rest + data, 0, []
        while found := _ANSWER.match(data, at):
            length = _LENGTH.search(found[2])
            if length is None:
                raise ConduitError("an answer has no Content-Length", code="bad_answer")
            end = found.end() + int(length[1])
            if end > len(data):
                break
            codes.append(_code(found[1], data[found.end() : end]))
            at = end
        self._rest = data[at:]
        if found is None and len(self._rest) > HEAD_MAX_BYTES:
            raise ConduitError("the answers are not those of Conduit", code="bad_answer")
        return codes

    def last(self) -> bytes:
        """Nothing: each publish has its answer."""
        return b""

    def due(self, sent: int) -> int:
        """One for each."""
        return sent


def _code(status: bytes, body: bytes) -> str:
    """ "" if it is stored. A proxy's page may be a 200 as well, and nothing is stored then."""
    if status == b"200":
        return "" if b'"message_id"' in body else "bad_answer"
    found = REFUSAL.search(body)
    return found[1].decode() if found else f"http_{status.decode()}"


class Subscriber:
    """One WebSocket connection with one subscription; acks each message with a frame of its own."""

    def __init__(self, connection: socket.socket, *, acks: bool) -> None:
        self.connection = connection
        self._acks = acks
        self._rest = b""

    def reply(self, data: bytes) -> bytes:
        """Acks, and answers to pings."""
        reply = b""
        if PING in data or (data[:1] == b"\0" and self._rest.endswith(b"\x89")):
            reply = PONG
        if self._acks:
            acks, self._rest = acks_for(self._rest + data)
            return reply + acks
        self._rest = data[-1:]
        return reply
