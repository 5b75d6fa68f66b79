"""Signals that end the process, seen by a thread of its own before the loop sees them.

The loop handles them, and it may be what hangs: in a call that never returns, or in a turn that never ends.
The thread sets the process's last deadline then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def seen_first(numbers: frozenset[int], see: Callable[[], object]) -> Iterator[None]:
    """Call `see`, in a thread, at the first of these signals. For the thread of the loop, which
    has handlers for them already."""
    ours, woken = socket.socketpair()
    woken.setblocking(False)
    # Python writes the number of each signal into it as it comes, whatever its threads are doing.
    loops = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(
        target=_pass_on, args=(ours, loops, numbers, see), name="conduit-signals", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(loops)
        woken.close()
        thread.join()
        ours.close()


def _pass_on(
    ours: socket.socket, loops: int, numbers: frozenset[int], see: Callable[[], object]
) -> None:
    is_seen = False
    while came := ours.recv(64):
        if not is_seen and numbers.intersection(came):
            is_seen = True
            see()
        # A loop that is so far behind knows that there is something to do.
        with contextlib.suppress(BlockingIOError):
            os.write(loops, came)
