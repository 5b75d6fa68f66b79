"""A small WebSocket client on the `websockets` library: JSON frames in and out."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import time
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.wait import DEADLINE_S

Frame = dict[str, Any]
MAX_FRAME_BYTES = 4 << 20


class Refused(AssertionError):
    """The server answered a request with an error frame."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(str(frame))
        self.frame = frame
        self.code = frame["code"]


class NoFrame(AssertionError):
    """The awaited frame did not come in time."""


class WsClient:
    """One connection. Frames that a call does not ask for are kept, in order, for later calls."""

    def __init__(self, url: str, *, compression: str | None = "deflate") -> None:
        self._kept: list[Frame] = []
        self._refs = (f"r{number}" for number in itertools.count(1))
        self._open = contextlib.ExitStack()
        self.connection = self._open.enter_context(
            connect(
                url, compression=compression, max_size=MAX_FRAME_BYTES, max_queue=None, proxy=None
            )
        )

    def __enter__(self) -> WsClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close in good order with 1000."""
        self._open.close()

    def drop(self) -> None:
        """Lose the connection: no close frame, as when the process dies."""
        self.connection.socket.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def send(self, frame: Frame) -> None:
        """Send one frame as JSON text."""
        self.connection.send(json.dumps(frame))

    def send_raw(self, text: str | bytes) -> None:
        """Send a text (str) or binary (bytes) message as it is."""
        self.connection.send(text)

    # Receiving ------------------------------------------------------------------------------------

    def receive(
        self, type: str | None = None, timeout: float = DEADLINE_S, **fields: object
    ) -> Frame:
        """The next frame of this type and with these fields; NoFrame after `timeout` s."""
        for index, frame in enumerate(self._kept):
            if _matches(frame, type, fields):
                return self._kept.pop(index)
        deadline = time.monotonic() + timeout
        while True:
            frame = self._next(deadline, f"no {type or 'frame'} {fields or ''} in {timeout} s")
            if _matches(frame, type, fields):
                return frame
            self._kept.append(frame)

    def messages(self, count: int, timeout: float = DEADLINE_S) -> list[Frame]:
        """The next `count` deliveries."""
        deadline = time.monotonic() + timeout
        return [
            self.receive("message", max(0.01, deadline - time.monotonic())) for _ in range(count)
        ]

    def nothing(self, for_s: float, type: str | None = None) -> None:
        """Assert that no frame (of this type) arrives, nor was kept, for so long."""
        try:
            frame = self.receive(type, for_s)
        except NoFrame:
            return
        raise AssertionError(f"unexpected {frame}")

    def closed(self, timeout: float = DEADLINE_S) -> tuple[int, str]:
        """Wait until the server closes; its close code and reason. Frames before it are kept."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                text = self.connection.recv(max(0.01, deadline - time.monotonic()))
                self._kept.append(json.loads(text))
        except ConnectionClosed as end:
            if end.rcvd is None:
                raise AssertionError(f"no close frame: {end}") from None
            return end.rcvd.code, end.rcvd.reason
        except TimeoutError:
            raise AssertionError(f"not closed in {timeout} s; kept {self._kept}") from None

    # Requests with a ref --------------------------------------------------------------------------

    def request(self, type: str, timeout: float = DEADLINE_S, **fields: object) -> Frame:
        """Send a frame with a fresh `ref`; returns the answer that carries it. Refused on error."""
        ref = next(self._refs)
        self.send({"type": type, **fields, "ref": ref})
        answer = self.receive(None, timeout, ref=ref)
        if answer["type"] == "error":
            raise Refused(answer)
        return answer

    def subscribe(self, topic: str, **settings: object) -> Frame:
        """Subscribe and return the `subscribed` frame."""
        frame = self.request("subscribe", topic=topic, **settings)
        assert frame["type"] == "subscribed", frame
        return frame

    def ack(self, message: Frame, **fields: object) -> Frame:
        """Ack one delivery and wait until the server has recorded it."""
        frame = self.request("ack", message_id=message["message_id"], **fields)
        assert frame["type"] == "acked", frame
        return frame

    def barrier(self) -> None:
        """Return when the server has handled all that was sent before."""
        self.send({"type": "heartbeat"})
        self.receive("heartbeat_ack")

    def _next(self, deadline: float, failure: str) -> Frame:
        try:
            text = self.connection.recv(max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            raise NoFrame(f"{failure}; kept {self._kept}") from None
        except ConnectionClosed as end:
            raise AssertionError(f"{failure}: closed by {end.rcvd}; kept {self._kept}") from None
        frame: Frame = json.loads(text)
        return frame


def _matches(frame: Frame, type: str | None, fields: dict[str, object]) -> bool:
    if type is not None and frame["type"] != type:
        return False
    return all(frame.get(name) == value for name, value in fields.items())


def payloads(frames: list[Frame]) -> list[Any]:
    """What was delivered, in the order of arrival."""
    return [frame["payload"] for frame in frames]
