"""What a client asks of a subscription that runs on another node: in its order, and answered once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from conduit.broker.attach.elsewhere import Told
from conduit.errors import ConduitError, NotFound
from conduit.protocol.codec import encode_json
from conduit.protocol.frames import Ack, Acked, ErrorFrame, Extend, Nack, Reject

# Verbs of one share that wait for the owner; with more of them the client is not read.
WAITING_MAX_BYTES = 65_536

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

    def fail_said(self, error: ConduitError) -> None:
        """What was said and not answered never will be."""
        first = self._waiting[0][0] if self._waiting else self._last_token + 1
        for token in [each for each in self._told if each < first]:
            self._told.pop(token)(error)

    def take(self) -> list[tuple[bytes, Told | None]]:
        """What is not said, which is said elsewhere."""
        taken = [(text, self._told.pop(token, None)) for token, text in self._waiting]
        self._waiting.clear()
        self._waiting_bytes = 0
        return taken
