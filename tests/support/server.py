"""A real server in a process of its own: `python -m conduit serve` on a free port of 127.0.0.1.

Nothing of the server is imported here; only the place of the package is looked up. What these tests
see is what a user sees. Most are forks of a process that has loaded the package (`forkserver.py`).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from tests.support import forkserver, secrets
from tests.support.wait import until

READY_WITHIN_S = 60.0
# The contract's bound for SIGTERM is 10 s, which tests of the end measure; a process has to end too.
TERMINATE_WITHIN_S = 30.0
POLL_S = 0.02
REPO = Path(__file__).parents[2]
LOG_TAIL_BYTES = 6000
# Settings of Python and of the loader, which a fork does not heed; and of workers it is looked at what /proc
# says of them.
UNFORKED = ("PYTHON", "LD_", "CONDUIT_WORKERS")

# Servers that are running now, for the log that a failing test prints.
running: list[RunningServer] = []


class ServerError(AssertionError):
    """The server did not start, died, or did not stop; the message ends with its log."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**settings: str) -> dict[str, str]:
    """An environment in which only `settings` speak to Conduit."""
    spec = find_spec("conduit")
    assert spec is not None
    assert spec.origin is not None
    source = str(Path(spec.origin).parents[1])
    secrets.register_settings(settings)
    own = forkserver.ENVIRONMENT
    kept = {name: own[name] for name in ("PATH", "HOME", "LANG") if name in own}
    # Whoever runs the tests may have contexts.
    alone = {"XDG_CONFIG_HOME": os.devnull}
    path = os.pathsep.join((source, str(REPO)))
    return {**kept, **alone, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **settings}


class RunningServer:
    """One server process. `env` holds what was set for it; `directory` is its working directory."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self.directory = directory
        self.env = env
        self.port = int(env["PORT"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.log = directory / "server.log"
        self.preexec: Callable[[], None] | None = None
        self.program = "conduit"
        """The module that is run as `python -m … serve`."""
        self.python = sys.executable
        self.is_forked = False
        """Whether it is a fork; or else it is started by `preexec`, `python`, in this thread's namespaces."""
        self._process: subprocess.Popen[bytes] | forkserver.Forked | None = None

    @property
    def pid(self) -> int:
        """The process id of the server that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process is not None and self._process.poll() is None

    def start(self, ready_within_s: float = READY_WITHIN_S) -> None:
        """Start the process and wait until `/health/ready` says 200."""
        assert not self.alive
        secrets.watch(self.log)
        with self.log.open("ab") as log:
            self._process = self._started(log.fileno(), clean_environment(**self.env))
        running.append(self)
        try:
            self._wait_until_ready(ready_within_s)
        except BaseException:
            self.kill()
            raise

    def _started(
        self, log: int, env: dict[str, str]
    ) -> subprocess.Popen[bytes] | forkserver.Forked:
        if self.is_forked:
            return forkserver.fork([self.program, "serve"], self.directory, env, log)
        return subprocess.Popen(
            [self.python, "-m", self.program, "serve"],
            cwd=self.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=self.preexec,
        )

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Does nothing if the process has ended."""
        if self._process is not None:
            if self.alive:
                self._process.kill()
            self._process.wait()
        self._forget()

    def terminate(self, within_s: float = TERMINATE_WITHIN_S) -> tuple[int, float]:
        """SIGTERM; returns the exit code and how many seconds it took."""
        self.send_signal(signal.SIGTERM)
        return self.wait(within_s)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal and go on at once."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within_s: float = TERMINATE_WITHIN_S) -> tuple[int, float]:
        """Wait for the process to end by itself; returns the exit code and the seconds waited."""
        assert self._process is not None
        began = time.monotonic()
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"still running after {within_s} s\n{self.log_tail()}") from None
        self._forget()
        return code, time.monotonic() - began

    def restart(self) -> None:
        """Kill if alive, then start again on the same port with the same files."""
        self.kill()
        self.start()

    def log_text(self) -> str:
        """Everything that this server and its predecessors wrote to stdout and stderr."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logged(self, text: str) -> None:
        """Wait until it has written `text`: what it does can be seen before it says so."""
        until(lambda: text in self.log_text())

    def log_tail(self) -> str:
        """The end of the log, for a failure's message."""
        return f"--- {self.log} ---\n{self.log_text()[-LOG_TAIL_BYTES:]}"

    def _wait_until_ready(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise ServerError(f"exited with {self._process.returncode}\n{self.log_tail()}")
            if self._is_ready():
                return
            time.sleep(POLL_S)
        raise ServerError(f"not ready after {within_s} s\n{self.log_tail()}")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_WITHIN_S)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _forget(self) -> None:
        secrets.unwatch(self.log)
        if self in running:
            running.remove(self)


@contextlib.contextmanager
def running_server(
    *, preexec: Callable[[], None] | None = None, program: str = "conduit", **settings: str
) -> Iterator[RunningServer]:
    """A server that is ready, in a temporary directory; reaped whatever happens inside the block.

    `settings` are environment variables. `preexec` runs in the child before the server: limits. `program` is
    the module that is run.
    """
    with tempfile.TemporaryDirectory(prefix="conduit-test-") as directory:
        env = {"PORT": str(free_port()), "CONDUIT_HOST": "127.0.0.1", **settings}
        server = RunningServer(Path(directory), env)
        server.preexec, server.program = preexec, program
        server.is_forked = preexec is None and not any(name.startswith(UNFORKED) for name in env)
        server.start()
        try:
            yield server
        except BaseException:
            print(server.log_tail())
            raise
        finally:
            server.kill()
