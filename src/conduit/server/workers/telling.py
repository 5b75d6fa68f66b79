"""What the supervisor says: sentences for its log."""

from __future__ import annotations

import signal

from conduit.server.workers.children import Child
from conduit.server.workers.places import Place, worker_name
from conduit.settings import Settings


def serves(child: Child, place: Place, settings: Settings) -> str:
    """A worker listens."""
    name = worker_name(settings.node_id, child.number)
    text = f"worker {child.number} serves: process {child.pid}, node {name} at {place.address}"
    if place.admin_port is None:
        return text
    return f"{text}, for operators at {_joined(settings.admin_host, place.admin_port)}"


def all_serve(count: int) -> str:
    """For the first time all of them do."""
    return f"all {count} workers serve"


def stopping(number: signal.Signals, settings: Settings) -> str:
    """The first signal has come."""
    if settings.drain_delay_s and number != signal.SIGINT:
        return f"{number.name}: not ready any more, stopping all workers in {settings.drain_delay_s:g} s"
    return f"{number.name}: stopping all workers"


def again(number: signal.Signals) -> str:
    """Another one has."""
    return f"{number.name} after another signal: the workers get it too"


def ended(child: Child, code: int, wait_s: float, left_count: int) -> str:
    """A worker has ended, and nobody had told the supervisor to."""
    others = {0: "no other one serves", 1: "1 other one serves"}
    left = others.get(left_count, f"{left_count} others serve")
    return (
        f"worker {child.number} (process {child.pid}) {_how(code)}: it is started again in {wait_s:.1f} s;"
        f" {left} meanwhile"
    )


def ended_badly(child: Child, code: int) -> str:
    """It did not stop in order."""
    return f"worker {child.number} (process {child.pid}) did not stop in order: it {_how(code)}"


def killed(child: Child) -> str:
    """It did not stop at all."""
    return (
        f"worker {child.number} (process {child.pid}) did not stop within CONDUIT_SHUTDOWN_TIMEOUT_S: it is"
        " killed"
    )


def not_started(number: int, error: OSError) -> str:
    """The system gives no process for it."""
    return f"worker {number} cannot be started: {error.strerror or error}; it is tried again in half a minute"


def cannot_serve(child: Child, code: int) -> str:
    """To start it again would change nothing, or it is the first one of all."""
    told = "" if code < 0 else ", and its error says why"
    return f"worker {child.number} {_how(code)}{told}: all end"


def given_up(child: Child, code: int, ends_count: int) -> str:
    """No worker stays."""
    return (
        f"no worker stays up: worker {child.number} has ended {ends_count} times in a row soon after its"
        f" start, and {_how(code)} at last; this is given up, and what the workers have logged says why"
    )


def _how(code: int) -> str:
    if code >= 0:
        return (
            f"has ended with exit code {code}"
            if code
            else "has ended in order, which was told to it alone"
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ": by somebody, or by the system for want of memory" if -code == signal.SIGKILL else ""
    return f"was killed ({name}{hint})"


def _joined(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
