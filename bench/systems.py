"""The systems under test, each a process of its own on free ports in a directory that is thrown away."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.machine import NATS
from tests.support.postgres import Cluster

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
# What PostgreSQL keeps by default (min_wal_size).
WAL_FILES = 5
TICKS = os.sysconf("SC_CLK_TCK")


class MissingTool(Exception):
    """A program that the benchmark needs is not installed; the text says how to get it."""


def tool(name: str, package: str) -> str:
    """The path of a program from a Debian package."""
    path = shutil.which(name)
    if path is None:
        raise MissingTool(f"{name} is missing: apt-get install {package}")
    return path


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One process under test. `directory` holds its files and its log, and survives `kill`."""

    def __init__(self, directory: Path, command: list[str], port: int, **env: str) -> None:
        self.directory = directory
        self.port = port
        self._command = command
        self._env = {"PATH": os.environ["PATH"], **env}  # noqa: TID251 - a child needs a PATH
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the one that runs, or ran last."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start and wait until it is ready; returns the seconds this took."""
        began = time.monotonic()
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.directory, env=self._env, stdout=log, stderr=log
            )
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() - began > READY_WITHIN_S:
                raise RuntimeError(f"{self._command[0]} is not ready:\n{self.log()}")
            time.sleep(0.005)
        return time.monotonic() - began

    def is_ready(self) -> bool:
        """Whether it takes work."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def set(self, **env: str) -> None:
        """More of its environment, from its next start on."""
        self._env |= env

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        assert self._process is not None
        self._process.terminate()

    def stop(self) -> None:
        """SIGTERM, and wait for the end; SIGKILL if that takes long."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """The end of what it wrote."""
        return (self.directory / "server.log").read_text(errors="replace")[-4000:]

    def cpu_s(self) -> float:
        """CPU seconds used so far by all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_kib(self) -> int:
        """Resident memory."""
        return self._memory_kib("VmRSS")

    def forget_peak(self) -> None:
        """What `peak_kib` says begins here: proc(5), /proc/PID/clear_refs."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_kib(self) -> int:
        """The most resident memory there was."""
        return self._memory_kib("VmHWM")

    def _memory_kib(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise RuntimeError(f"no {name}")


class Conduit(Server):
    """`python -m conduit serve` with the defaults, but for `settings` (environment variables)."""

    def __init__(self, directory: Path, store: str, **settings: str) -> None:
        port = free_port()
        env = {"PORT": str(port), "CONDUIT_HOST": "127.0.0.1", "CONDUIT_LOG_LEVEL": "warning"}
        if store == "sqlite":
            env["DATABASE_URL"] = "sqlite:///conduit.db"
        env["PYTHONPATH"] = str(ROOT / "src")
        super().__init__(
            directory, [sys.executable, "-m", "conduit", "serve"], port, **env, **settings
        )

    def is_ready(self) -> bool:
        """Whether `/health/ready` answers 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class ConduitOnPostgres(Conduit):
    """Conduit with its log in a PostgreSQL of its own, which has Debian's settings and fsync on.

    Its CPU is that of both. Files of the write-ahead log are there to be used again, as in every database
    that has run for a while: in a new one each of them has to be written first, which stops all commits for
    100 ms.
    """

    def __init__(self, directory: Path, cluster: Cluster | None = None, **settings: str) -> None:
        self.cluster = cluster or Cluster()
        self.cluster.start()
        self.url = self.cluster.create_database()
        for _ in range(WAL_FILES):
            self.cluster.sql("SELECT pg_switch_wal(), txid_current()")
        self.cluster.sql("CHECKPOINT")
        super().__init__(directory, "postgresql", DATABASE_URL=self.url, **settings)

    def stop(self) -> None:
        super().stop()
        self.cluster.remove()

    def cpu_s(self) -> float:
        """Of Conduit, and of every process of PostgreSQL, also of those that have ended."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.cluster.pid:
                    ticks += int(fields[11]) + int(fields[12])
                elif stat.parent.name == str(self.cluster.pid):
                    # Its own, and what its children had when they ended.
                    ticks += sum(map(int, fields[11:15]))
        return super().cpu_s() + ticks / TICKS


def conduit(directory: Path, store: str, **settings: str) -> Conduit:
    """Conduit on `memory`, `sqlite` or `postgresql`."""
    if store == "postgresql":
        return ConduitOnPostgres(directory, None, **settings)
    return Conduit(directory, store, **settings)


class Nats(Server):
    """nats-server with WebSocket on `ws_port`, and JetStream in `directory`.

    `sync` is JetStream's `sync_interval`: "always" syncs the file before a publish is acknowledged,
    as Conduit on SQLite does; the default of the system is two minutes.
    """

    def __init__(self, directory: Path, sync: str = "2m") -> None:
        if not NATS.exists():
            raise MissingTool("nats-server is missing: make bench installs it into .venv")
        self.ws_port = free_port()
        port = free_port()
        config = directory / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            f'websocket {{ listen: "127.0.0.1:{self.ws_port}", no_tls: true }}\n'
            f'jetstream {{ store_dir: "{directory}/jetstream", sync_interval: {sync} }}\n'
        )
        super().__init__(directory, [str(NATS), "-c", str(config)], port)


class Redis(Server):
    """redis-server; `fsync` is "no" (memory only), "everysec" or "always" of the append-only file."""

    def __init__(self, directory: Path, fsync: str = "no") -> None:
        port = free_port()
        command = [tool("redis-server", "redis-server"), "--port", str(port)]
        command += ["--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        if fsync != "no":
            command += ["--appendonly", "yes", "--appendfsync", fsync]
        super().__init__(directory, command, port)

    def is_ready(self) -> bool:
        """Whether it answers PING, which it refuses while it loads its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A directory for one run."""
    with tempfile.TemporaryDirectory(prefix="conduit-bench-") as path:
        yield Path(path)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Started, and stopped whatever happens."""
    server.start()
    try:
        yield server
    except BaseException:
        print(server.log(), file=sys.stderr)
        raise
    finally:
        server.stop()


class Busy:
    """CPU of a server from now on, per second."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._began = time.monotonic()
        self._cpu_s = server.cpu_s()

    def cpu_s(self) -> float:
        """CPU seconds since then."""
        return self._server.cpu_s() - self._cpu_s

    def cores(self) -> float:
        """CPU seconds per second since then."""
        return self.cpu_s() / max(time.monotonic() - self._began, 1e-9)
