"""Throw-away Redis: real servers on free ports, in temporary directories."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals
from typing import Any

from redis import Redis

from tests.support.server import free_port

START_TIMEOUT_S = 30.0
# In cluster mode the port above it by 10,000 is taken too.
PORT_MAX = 55_000
# What Conduit is to run with, as far as it is installed; the first one has to be.
PROGRAMS = ("redis-server", "valkey-server")


def installed() -> list[str]:
    """The programs that there are here."""
    found = [name for name in PROGRAMS if shutil.which(name)]
    assert PROGRAMS[0] in found, "redis-server is missing: on Debian, apt-get install redis-server"
    return found


class RedisServer:
    """One server, which saves nothing. `options` are as in its file, `tls` is a folder with `server.crt`,
    `server.key` and `ca.crt` if it is to speak TLS only, `is_sentinel` makes it something else."""

    def __init__(
        self,
        options: Sequence[str] = (),
        *,
        program: str = PROGRAMS[0],
        tls: Path | None = None,
        is_sentinel: bool = False,
    ) -> None:
        self._program = program
        self._base = Path(tempfile.mkdtemp(prefix="conduit-redis-"))
        while (port := free_port()) > PORT_MAX:
            pass
        self.port = port
        self._options = list(options)
        self._tls = tls
        self._is_sentinel = is_sentinel
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.place}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *options: str) -> None:
        """Start it, or start it again with these options as well, and wait until it takes connections."""
        self._options += options
        config = self._base / "redis.conf"
        config.write_text("\n".join([*self._config(), *self._options]))
        with (self._base / "log").open("ab") as log:
            command = [self._program, config, *(["--sentinel"] if self._is_sentinel else [])]
            self._process = subprocess.Popen(command, cwd=self._base, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._takes_connections():
            assert self.alive, self.log()[-2000:]
            assert time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.02)

    def _config(self) -> list[str]:
        if self._is_sentinel:
            return ["bind 127.0.0.1", f"dir {self._base}", f"port {self.port}"]
        lines = ["bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self._base}"]
        if self._tls is None:
            return [*lines, f"port {self.port}"]
        return [
            *(*lines, "port 0", f"tls-port {self.port}", "tls-auth-clients no"),
            f"tls-cert-file {self._tls / 'server.crt'}",
            f"tls-key-file {self._tls / 'server.key'}",
            f"tls-ca-cert-file {self._tls / 'ca.crt'}",
        ]

    def _takes_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def ask(self, *command: str | int) -> Any:
        """What it answers, of a connection of its own without TLS and password."""
        with Redis(port=self.port, decode_responses=True, socket_timeout=START_TIMEOUT_S) as client:
            return client.execute_command(*command)

    def log(self) -> str:
        return (self._base / "log").read_text()

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL; everything in it is gone."""
        if self.alive:
            self.signal(SIGKILL)
        if self._process is not None:
            self._process.wait(START_TIMEOUT_S)

    def remove(self) -> None:
        """Stop it and remove its files."""
        if self.alive:
            self.signal(SIGCONT)
        self.kill()
        shutil.rmtree(self._base, ignore_errors=True)
