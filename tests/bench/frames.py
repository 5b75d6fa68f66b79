"""What is in the bytes of a client, found by a library that is not ours."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

T = TypeVar("T")


def parsed(data: bytes) -> list[Frame]:
    """The frames as a server sees them; they must have a mask."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    while not _run(reader.at_eof()):
        frames.append(_run(Frame.parse(reader.read_exact, mask=True)))
    return frames


def _run(steps: Generator[None, None, T]) -> T:
    """The result of a generator that has all it needs."""
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    result: T = stopped.value.value
    return result
