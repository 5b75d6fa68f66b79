"""What a cluster is made of: PostgreSQL, Redis, nodes and nginx, each as a Program."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tools.cluster.folder import Folder, Unusable
from tools.cluster.program import ENVIRONMENT, Program, as_user

HOST = "127.0.0.1"
# REDIS_URL is for the nodes, as soon as they take it.
WITH_REDIS = True
# The superuser of the databases; nodes are one that owns theirs, and nothing more.
ADMIN = "postgres"
ANSWER_WITHIN_S = 1.0
POLL_S = 0.05
# Making a database, on a slow disk.
MADE_WITHIN_S = 120.0
# A node is gone 10 s after SIGTERM (CONDUIT_SHUTDOWN_TIMEOUT_S).
NODE_STOPS_WITHIN_S = 15.0
POSTGRESQL_STOPS_WITHIN_S = 5.0
# Sixteen nodes have fewer.
MAX_CONNECTIONS = 400
# Where they are, if not in PATH; users of Debian have no sbin there.
ELSEWHERE = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
HERE = Path(__file__).parent
# What nginx is told of nodes, here as anywhere.
DEPLOY = HERE.parents[1] / "deploy" / "nginx"
_MISSING_ROLE = "NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'conduit')"
_MISSING_DATABASE = "NOT EXISTS (SELECT FROM pg_database WHERE datname = 'conduit')"
CREATE = rf"""
SELECT 'CREATE ROLE conduit LOGIN' WHERE {_MISSING_ROLE} \gexec
SELECT 'CREATE DATABASE conduit OWNER conduit' WHERE {_MISSING_DATABASE} \gexec
"""


def missing() -> list[str]:
    """Debian's packages of the programs that are not here."""
    needed = {
        "postgresql": _of_postgresql("postgres"),
        "redis-server": _redis_server(),
        "nginx-light": _found("nginx"),
    }
    return [package for package, path in needed.items() if path is None]


def postgresql(folder: Folder) -> Program:
    """A server that is reached by a socket in its folder; it makes its data first, if there are none.

    Raises Unusable.
    """
    here = folder.of_user("postgresql")
    data = here / "data"
    if data.exists():
        _await_former(data / "postmaster.pid")
    else:
        _make(folder, data)
    asked = [_here("pg_isready"), "-q", "-h", str(here), "-U", ADMIN]
    options = ("listen_addresses=", f"max_connections={MAX_CONNECTIONS}")
    return Program(
        "PostgreSQL",
        "postgresql/.s.PGSQL.5432",
        [_here("postgres"), "-D", data, "-k", here, *(f"-c{option}" for option in options)],
        here,
        folder.log("postgresql"),
        lambda: _succeeds(asked),
        user=folder.user,
        # Fast, and at once; with SIGTERM it would wait for its clients.
        stop=signal.SIGINT,
        stop_within_s=POSTGRESQL_STOPS_WITHIN_S,
        quit=signal.SIGQUIT,
    )


def _await_former(pid_file: Path) -> None:
    """One whose cluster was killed ends by itself, and has the data until then."""
    give_up_at = time.monotonic() + POSTGRESQL_STOPS_WITHIN_S
    while _is_alive(pid_file) and time.monotonic() < give_up_at:
        time.sleep(POLL_S)


def _is_alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text().split()[0]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, IndexError):
        return False
    return True


def _succeeds(command: Sequence[str]) -> bool:
    done = subprocess.run(command, capture_output=True, check=False, env=ENVIRONMENT)
    return done.returncode == 0


def _make(folder: Folder, data: Path) -> None:
    """What was interrupted is made anew."""
    begun = data.with_name("data.new")
    shutil.rmtree(begun, ignore_errors=True)
    durable = () if folder.is_kept else ("--no-sync",)
    # Whoever reaches the socket is let in. The encoding is not to depend on LANG.
    options = (
        "-U",
        ADMIN,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-instructions",
        *durable,
    )
    _run([_here("initdb"), "-D", str(begun), *options], folder)
    begun.rename(data)


def create_database(folder: Folder) -> str:
    """The database of the nodes, and their role, if they are not there yet; its URL. Raises Unusable."""
    place = folder.of_user("postgresql")
    options = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(place), "-U", ADMIN, "-d", "postgres")
    _run([_here("psql"), *options], folder, CREATE)
    return f"postgresql://conduit@/conduit?host={quote(str(place))}"


def _run(command: Sequence[str], folder: Folder, said: str = "") -> None:
    done = subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_WITHIN_S,
        cwd="/",
        env=ENVIRONMENT,
        # A Ctrl-C is for us alone.
        start_new_session=True,
        **as_user(folder.user),
    )
    if done.returncode:
        raise Unusable(f"{Path(command[0]).name} has failed:\n{done.stderr.strip()}")


def redis(folder: Folder) -> Program:
    """A server that is reached by a socket, and stores nothing."""
    here = folder.of_user("redis")
    path = here / "redis.sock"
    options = ("--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no")
    return Program(
        "Redis",
        "redis/redis.sock" if WITH_REDIS else "redis/redis.sock, not used yet",
        [_redis_server() or "", *options],
        here,
        folder.log("redis"),
        lambda: _pongs(path),
        user=folder.user,
    )


def _pongs(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False


def node(number: int, port: int, settings: dict[str, str], folder: Folder) -> Program:
    """`conduit serve`; `settings` are those that all nodes have."""
    name = f"node-{number}"
    own = {"PORT": str(port), "NODE_ID": name, "NODE_ADDR": f"{HOST}:{port}"}
    return Program(
        name,
        f"http://{HOST}:{port}",
        [Path(sys.executable).with_name("conduit"), "serve"],
        folder.own(name),
        folder.log(name),
        lambda: _is_ready(port),
        env={**settings, **own},
        stop_within_s=NODE_STOPS_WITHIN_S,
    )


def of_all_nodes(
    database_url: str, secret: str, folder: Folder, *, with_auth: bool
) -> dict[str, str]:
    """The settings that they share."""
    auth = {"ENABLE_AUTH": "true", "CONDUIT_ADMIN_KEY_FILE": str(folder.key)} if with_auth else {}
    url = f"unix://{quote(str(folder.of_user('redis') / 'redis.sock'))}"
    return {
        "CONDUIT_HOST": HOST,
        "CONDUIT_LOG_FORMAT": "text",
        "DATABASE_URL": database_url,
        "INTERNAL_SECRET": secret,
        **({"REDIS_URL": url} if WITH_REDIS else {}),
        **auth,
    }


def nginx(port: int, nodes: Sequence[int], folder: Folder) -> Program:
    """At `port`, in front of the nodes at those ports."""
    here = folder.of_user("nginx")
    shutil.copyfile(DEPLOY / "locations.conf", here / "locations.conf")
    (here / "nodes.conf").write_text(of_nodes((DEPLOY / "nodes.conf").read_text(), nodes))
    (here / "nginx.conf").write_text(at_port((HERE / "nginx.conf").read_text(), port))
    return Program(
        "nginx",
        f"http://{HOST}:{port}",
        [_found("nginx") or "", "-p", here, "-c", here / "nginx.conf"],
        here,
        folder.log("nginx"),
        lambda: _is_ready(port),
        user=folder.user,
    )


def of_nodes(text: str, nodes: Sequence[int]) -> str:
    """deploy/nginx/nodes.conf, with nodes at these ports of loopback for those that it has."""
    servers = re.compile(r"(?:^ *server \S+:\d+ .*;\n)+", re.MULTILINE)
    found = servers.search(text)
    assert found is not None
    first = found[0].splitlines(keepends=True)[0]
    lines = "".join(re.sub(r"\S+:\d+", f"{HOST}:{each}", first, count=1) for each in nodes)
    return servers.sub(lambda _: lines, text)


def at_port(text: str, port: int) -> str:
    """nginx's configuration, with this port for the one that it listens on."""
    return re.sub(r"(listen \S+):\d+", rf"\g<1>:{port}", text)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=ELSEWHERE)


def _redis_server() -> str | None:
    return _found("redis-server") or _found("valkey-server")


def _of_postgresql(name: str) -> str | None:
    """A program of the newest PostgreSQL that is installed."""
    there = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(there, key=lambda path: float(path.parts[-3]), default=None)
    return str(newest) if newest else _found(name)


def _here(name: str) -> str:
    path = _of_postgresql(name)
    if path is None:
        raise Unusable(f"{name} is missing: on Debian, apt-get install postgresql")
    return path
