"""What a client asks of a subscription that runs on another node: in its order, and answered once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from conduit.broker.attach.elsewhere import NOTHING, Told
from conduit.errors import NotFound, Unavailable
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import Ack, Acked, ErrorFrame, Extend, Nack, Reject

# Verbs of one share that wait for the owner; with more of them the client is not read.
WAITING_MAX_BYTES = 65_536

LOST = Unavailable("the node that had it is lost; what is not settled comes again")

# One of them. The longest with ids that exist is half of that.
TEXT_MAX_BYTES = 100_000

VerbFrame = Ack | Nack | Reject | Extend


class Asking:
    """Of one share. Those that want to know have a token as `ref` on their way."""

    __slots__ = ("_last_token", "_told", "_waiting", "_waiting_bytes", "was_busy")

    def __init__(self) -> None:
        # The texts of frames that are not said yet, with their tokens.
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        # Who waits for an answer, by token, said or not.
        self._told: dict[int, Told] = {}
        self._last_token = 0
        self.was_busy = False
        """Whether it was, when the reader was told to wait."""

    def __len__(self) -> int:
        """How many are not said yet."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether so many wait that no more should be read."""
        self.was_busy = self._waiting_bytes > WAITING_MAX_BYTES
        return self.was_busy

    def add(self, frame: VerbFrame, told: Told | None) -> None:
        """At the end of the line. Replaces the `ref` of the frame."""
        frame.ref = None if told is None else str(self._last_token + 1)
        text = encode_json(frame)
        if len(text) > TEXT_MAX_BYTES:
            if told is not None:
                told(NotFound("no delivery has such an id", code="unknown_delivery"))
            return
        if told is not None:
            self._told[self._last_token + 1] = told
        self.add_text(text)

    def add_text(self, text: bytes) -> None:
        """The same, of what is not answered."""
        self._last_token += 1
        self._waiting.append((self._last_token, text))
        self._waiting_bytes += len(text)

    def say(self, say: Callable[[bytes], bool]) -> None:
        """Say as many as there is room for."""
        waiting = self._waiting
        while waiting and say(waiting[0][1]):
            self._waiting_bytes -= len(waiting.popleft()[1])

    def answered(self, answer: Acked | ErrorFrame) -> None:
        """The owner has answered; nothing happens if nobody waits for that."""
        ref = answer.ref or ""
        told = self._told.pop(int(ref), None) if ref.isdecimal() else None
        if told is not None:
            told(answer if isinstance(answer, ErrorFrame) else None)

    def answered_nothing(self, ref: str) -> None:
        """An ack up to a number has settled nothing there."""
        told = self._told.pop(int(ref), None) if ref.isdecimal() else None
        if told is not None:
            told(NOTHING)

    def lose(self) -> None:
        """The owner is lost: what was said is not answered any more, and what was not is said to no other.
        The next one has handed nothing of it to this client; and an ack up to a number would settle what it
        has handed out since, and the client may never have seen."""
        self._waiting.clear()
        self._waiting_bytes = 0
        told, self._told = self._told, {}
        for each in told.values():
            each(LOST)
