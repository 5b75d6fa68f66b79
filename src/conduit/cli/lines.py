"""Lines in and out, without holding up the loop for a file descriptor that is not ready."""

from __future__ import annotations

import asyncio
import os
import select
import threading

from conduit.errors import InvalidRequest

CHUNK_BYTES = 1 << 18
CHUNKS_MAX_COUNT = 4
# Above any payload that a server takes.
LINE_MAX_BYTES = 64 << 20


class LineSplitter:
    """Chunks in, whole lines out, without their ends (`\\n` or `\\r\\n`)."""

    def __init__(self, max_bytes: int = LINE_MAX_BYTES) -> None:
        self._rest = bytearray()
        self._max_bytes = max_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk. Raises InvalidRequest for one that is too long."""
        first, newline, others = chunk.partition(b"\n")
        self._rest += first
        if len(self._rest) > self._max_bytes:
            raise InvalidRequest(f"a line is longer than {self._max_bytes:,} bytes")
        if not newline:
            return []
        *lines, rest = [bytes(self._rest), *others.split(b"\n")]
        self._rest = bytearray(rest)
        return [line.removesuffix(b"\r") for line in lines]

    def end(self) -> list[bytes]:
        """The last line, if it does not end."""
        rest = bytes(self._rest)
        self._rest = bytearray()
        return [rest] if rest else []


class LineReader:
    """Reads a file descriptor in groups of lines: nothing waits for more to come.

    A thread reads, because a terminal must not be made non-blocking under the other programs that
    share it. It is a daemon: one that is stuck in a read does not keep the process.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        # What bounds the queue, on the side of the thread.
        self._room = threading.Semaphore(CHUNKS_MAX_COUNT)
        self._splitter = LineSplitter()
        self._is_at_end = False
        self._is_started = False

    async def group(self) -> list[bytes] | None:
        """The lines that one read gave, or None at the end. Raises OSError. Cancelling loses
        nothing."""
        if not self._is_started:
            self._is_started = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._read_all, args=(loop,), daemon=True).start()
        while not self._is_at_end:
            chunk = await self._chunks.get()
            self._room.release()
            if isinstance(chunk, OSError):
                raise chunk
            self._is_at_end = not chunk
            lines = self._splitter.feed(chunk) if chunk else self._splitter.end()
            if lines:
                return lines
        return None

    def _read_all(self, loop: asyncio.AbstractEventLoop) -> None:
        is_over = False
        while not is_over:
            self._room.acquire()
            chunk: bytes | OSError
            try:
                chunk = os.read(self._fd, CHUNK_BYTES)
            except OSError as error:
                chunk = error
            # The last thing that is handed over: the error, or nothing at the end.
            is_over = isinstance(chunk, OSError) or not chunk
            try:
                loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:
                # The loop has ended: nobody wants the rest.
                return


class LineWriter:
    """Writes lines to a file descriptor. While the reader of a pipe does not read, only the caller
    waits: the loop goes on, answers pings and keeps deliveries alive."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, line: str) -> None:
        """Returns when the line is with the system. Raises OSError; BrokenPipeError when nobody is
        there to read. Cancelling leaves it open how much of the line was written."""
        data = line.encode() + b"\n"
        # A pipe that is ready takes this many bytes at once (POSIX, write).
        if len(data) <= select.PIPE_BUF and select.select([], [self._fd], [], 0)[1]:
            self._write(data)
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        # A daemon, so that a write which never ends does not keep the process.
        threading.Thread(target=self._write_in_thread, args=(data, loop, done), daemon=True).start()
        await done

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def _write_in_thread(
        self, data: bytes, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]
    ) -> None:
        error: OSError | None = None
        try:
            self._write(data)
        except OSError as failure:
            error = failure
        try:
            loop.call_soon_threadsafe(_settle, done, error)
        except RuntimeError:
            # The loop has ended: nobody waits for this.
            return


def _settle(done: asyncio.Future[None], error: OSError | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
