"""The cluster under test: PostgreSQL, Redis and nodes, as processes, each in a network of its own where
that is permitted."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos import networks
from tests.chaos.networks import Networks
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.server import RunningServer, free_port

LOOPBACK = "127.0.0.1"
DATABASE, REDIS = "postgres", "redis"
SECRET = "of-the-nodes-0123456789"
# Connections of nodes that are cut off stay until PostgreSQL notices: after a few seconds, and not after
# hours.
POSTGRES = (
    "max_connections=300",
    "tcp_keepalives_idle=5",
    "tcp_keepalives_interval=1",
    "tcp_keepalives_count=3",
    "tcp_user_timeout=8s",
    "jit=off",
)
# Where Debian's package `faketime` has it.
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"
# The calls into the kernel in which a loop waits: epoll_wait and epoll_pwait of x86-64, epoll_pwait of
# aarch64, epoll_pwait2.
WAITING = {232, 281, 22, 441}
CLEAN_STOP_TRIES = 400
SETTINGS = {
    "INTERNAL_SECRET": SECRET,
    "CONDUIT_LOG_LEVEL": "info",
    # Publishes are answered in the middle of a fault, and not only when it is over.
    "CONDUIT_PUBLISH_TIMEOUT_S": "2",
}


class World:
    """Make it in a thread, `start` it, and `remove` it whatever happens. Nothing here waits on the loop: call
    it in a thread."""

    def __init__(self, count: int, *, is_networked: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="conduit-chaos-"))
        self.names = [f"node-{number}" for number in range(1, count + 1)]
        self.networks = Networks([DATABASE, REDIS, *self.names]) if is_networked else None
        listening = ("listen_addresses=*",) if is_networked else ()
        self.cluster = Cluster(options=(*POSTGRES, *listening), initdb=["--no-sync"])
        if is_networked:
            with (self.cluster.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {networks.PREFIX}.0/24 trust\n")
        self.redis = RedisServer(["bind 0.0.0.0", "protected-mode no"] if is_networked else [])
        self.nodes: dict[str, RunningServer] = {}

    def address(self, name: str) -> str:
        """Where a part is reached."""
        return LOOPBACK if self.networks is None else self.networks[name].address

    def url(self, name: str) -> str:
        """Of a node, for clients."""
        return f"http://{self.address(name)}:{self.nodes[name].port}"

    @contextlib.contextmanager
    def within(self, name: str) -> Iterator[None]:
        """The calling thread is where that part is."""
        if self.networks is None:
            yield
        else:
            with self.networks[name].entered():
                yield

    def start(self) -> None:
        """PostgreSQL, Redis, and the nodes; all are ready."""
        with self.within(DATABASE):
            self.cluster.start()
            self.cluster.create_database()
        with self.within(REDIS):
            self.redis.start()
        for name in self.names:
            self._prepare(name)
        # The first makes the tables.
        self.start_node(self.names[0])
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.start_node, self.names[1:]))

    def start_postgres(self) -> None:
        """Start it again."""
        with self.within(DATABASE):
            self.cluster.start()

    def start_redis(self) -> None:
        """Start it again, empty."""
        with self.within(REDIS):
            self.redis.start()

    def _prepare(self, name: str) -> None:
        directory = self.folder / name
        directory.mkdir()
        port = free_port()
        database = self.cluster.url().replace(LOOPBACK, self.address(DATABASE))
        self.nodes[name] = RunningServer(
            directory,
            {
                **SETTINGS,
                "PORT": str(port),
                "CONDUIT_HOST": LOOPBACK if self.networks is None else "0.0.0.0",
                "NODE_ID": name,
                "NODE_ADDR": f"{self.address(name)}:{port}",
                "DATABASE_URL": database,
                "REDIS_URL": self.redis.url.replace(LOOPBACK, self.address(REDIS)),
            },
        )

    def start_node(self, name: str) -> None:
        """Start it, or start it again, and wait until it is ready."""
        with self.within(name):
            self.nodes[name].start()

    def end_node(self, name: str) -> int:
        """SIGTERM; its exit code."""
        return self.nodes[name].terminate()[0]

    def stop_node(self, name: str) -> bool:
        """SIGSTOP, if it can be in a moment in which its loop waits, so that nothing is half done in it: then
        what it sends when it goes on is decided then. Returns whether it is such a moment."""
        node = self.nodes[name]
        for _ in range(CLEAN_STOP_TRIES):
            node.send_signal(signal.SIGSTOP)
            networks.wait_until_stopped(node.pid)
            if networks.system_call(node.pid) in WAITING:
                return True
            node.send_signal(signal.SIGCONT)
            time.sleep(0.003)
        node.send_signal(signal.SIGSTOP)
        networks.wait_until_stopped(node.pid)
        return False

    def continue_node(self, name: str) -> None:
        """SIGCONT."""
        self.nodes[name].send_signal(signal.SIGCONT)

    def set_clock(self, name: str, ahead_s: int) -> None:
        """From its next start on its wall clock is wrong by so much; 0: right. Raises FileNotFoundError if
        there is nothing to do it with."""
        env = self.nodes[name].env
        for key in ("LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC"):
            env.pop(key, None)
        if ahead_s:
            env |= {
                "LD_PRELOAD": faketime(),
                "FAKETIME": f"{ahead_s:+d}s",
                "DONT_FAKE_MONOTONIC": "1",
            }

    def sql(self, statement: str) -> str:
        """What PostgreSQL says, to its superuser."""
        with self.within(DATABASE):
            return self.cluster.sql(statement)

    def ask_redis(self, *command: str) -> object:
        """What Redis says."""
        with self.within(REDIS):
            return self.redis.ask(*command)

    def troubles(self) -> list[str]:
        """Lines in the logs of nodes that no fault may cause."""
        return [
            f"{name}: {line[:300]}"
            for name, node in self.nodes.items()
            for line in node.log_text().splitlines()
            if "Traceback" in line
        ]

    def remove(self, *, keep_logs: bool = False) -> None:
        """End everything, and remove all files but the nodes' logs, if they are to be kept. Idempotent."""
        for node in self.nodes.values():
            with contextlib.suppress(ProcessLookupError):
                if node.alive:
                    node.send_signal(signal.SIGCONT)
            node.kill()
        self.redis.remove()
        self.cluster.remove()
        if self.networks is not None:
            self.networks.remove()
        if not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)


def faketime() -> str:
    """The library by which a process sees another time. Raises FileNotFoundError."""
    found = sorted(Path("/").glob(FAKETIME.lstrip("/")))
    if not found:
        raise FileNotFoundError("libfaketime is missing: on Debian, apt-get install faketime")
    return str(found[0])
