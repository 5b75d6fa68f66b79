"""Workers as processes: started by a fork, told of signals, and known to have ended."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from conduit.server.workers.worker import SERVING

# Of one look at what a worker says.
SAID_MAX_BYTES = 64


class Child:
    """A worker that was started, and has not ended as far as is known."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.channel = channel
        """Readable when it says something, or has ended."""
        self.is_serving = False

    def order(self, number: int) -> None:
        """Let it know of a signal. It may have ended."""
        with suppress(OSError):
            self.channel.send(bytes([number]))

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def has_said(self) -> bool | None:
        """Whether it has said that it serves; None: it will say nothing more."""
        try:
            said = self.channel.recv(SAID_MAX_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return SERVING in said if said else None

    def reaped(self) -> int | None:
        """Its exit code, or -N if signal N has ended it; None: it has not ended. Call it no more after it
        has."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        return os.waitstatus_to_exitcode(status)


class Signals:
    """Signals to this process, which do nothing but become readable; and forks that have none of that."""

    def __init__(self, numbers: frozenset[signal.Signals]) -> None:
        self._numbers = numbers | {signal.SIGCHLD}
        self.woken, self._waking = socket.socketpair()
        """Readable when some have come."""
        self._before: dict[signal.Signals, object] = {}

    def come(self) -> Iterator[signal.Signals]:
        """Those that have come since."""
        with suppress(BlockingIOError):
            while came := self.woken.recv(SAID_MAX_BYTES):
                yield from map(signal.Signals, came)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch for them, until the end of this, or until this process is a child."""
        self.woken.setblocking(False)
        self._waking.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, _nothing)
        try:
            yield
        finally:
            self._end()

    def fork(self) -> int:
        """As os.fork. The child has a session of its own, so that a Ctrl-C in the terminal is for us alone,
        and signals do there what they did before. Raises OSError."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            pid = os.fork()
            if not pid:
                os.setsid()
                self._end()
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)

    def _end(self) -> None:
        """Idempotent."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what it returned
        self._before.clear()
        if self.woken.fileno() >= 0:
            signal.set_wakeup_fd(-1)
            self.woken.close()
            self._waking.close()


def _nothing(_number: int, _frame: object) -> None:
    """A signal that is ignored would wake nobody."""
