"""This machine: open files, ports, the address that other nodes are told, what is installed."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from conduit.cli.checks.finding import Finding, failure, in_thread, ok, unseen, warning
from conduit.cli.checks.own import is_loopback
from conduit.settings import Settings

CONNECT_TIMEOUT_S = 3.0
# Of an answer to `GET /health`.
HEALTH_MAX_BYTES = 65_536
# What each extra brings, and what it is for.
EXTRAS = {"otel": ("opentelemetry", "traces")}
# Rights of the group and of all others.
OTHERS = 0o077


async def files(of: Settings) -> list[Finding]:
    """Whether the process may open so many files as connections may come."""
    from conduit.server.files import divide, needed

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(of.max_connections, len(of.postgres_urls))
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        limit = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        return [
            ok(
                "open files",
                f"{limit} allowed here, {wanted:,} needed for {of.max_connections:,} connections",
            )
        ]
    count = divide(hard, of.max_connections, len(of.postgres_urls)).connection_count
    return [
        warning(
            "open files",
            f"{hard:,} allowed here, {wanted:,} needed for CONDUIT_MAX_CONNECTIONS={of.max_connections}: the "
            f"bound would be {count:,} connections",
            f"raise the hard limit to {wanted} (LimitNOFILE of systemd, `ulimit -Hn`), or lower "
            "CONDUIT_MAX_CONNECTIONS",
        )
    ]


async def port(of: Settings) -> list[Finding]:
    """Whether the port is free, and if not whether a Conduit has it."""
    found = [await _port("port", of.host, of.port)]
    if of.admin_port is not None:
        found.append(await _port("operators' port", of.admin_host, of.admin_port))
    return found


async def _port(check: str, host: str, number: int) -> Finding:
    if not number:
        return ok(check, "a free one is taken at start")
    # Whatever listens on all addresses is reached by loopback.
    where = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        answer = await _health(where, number)
    except ConnectionRefusedError:
        return (
            ok(check, f"{number} is free")
            if await in_thread(lambda: _may_bind(host, number))
            else failure(
                check,
                f"{host}:{number} cannot be listened on by this user, or is no address of this machine",
                "choose a port of 1024 or above, or an address of this machine in CONDUIT_HOST",
            )
        )
    except OSError as error:
        return failure(
            check,
            f"{host}:{number}: {error.strerror or error}",
            "CONDUIT_HOST must be an address of this machine; 0.0.0.0 stands for all",
        )
    if answer is not None and answer.get("status") == "ok":
        return ok(
            check,
            f"{number} is taken by a Conduit; `conduit doctor --url http://{where}:{number}` looks at it",
        )
    return failure(
        check,
        f"{number} is taken by another program",
        f"find out which (`ss -ltnp 'sport = :{number}'`) and stop it, or set another port",
    )


def _may_bind(host: str, number: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As a server does: connections that have ended lately are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError:
            return False
    return True


async def _health(host: str, number: int) -> dict[str, object] | None:
    """What `/health` says there; None if what listens says nothing of the kind. Raises OSError."""
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(host, number), CONNECT_TIMEOUT_S
    )
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            head, _, body = (await reader.read(HEALTH_MAX_BYTES)).partition(b"\r\n\r\n")
            with suppress(ValueError):
                told = json.loads(body or await reader.read(HEALTH_MAX_BYTES))
                return told if head.startswith(b"HTTP/1.1 200") and isinstance(told, dict) else None
    except (TimeoutError, OSError):
        pass
    finally:
        writer.close()
    return None


async def address(of: Settings) -> list[Finding]:
    """Whether other nodes can know where this one is."""
    from conduit.node_address import advertised

    if not of.internal_secrets or not (of.postgres_urls or of.redis_url):
        return []
    name = "NODE_ADDR"
    told = advertised(of.node_addr, socket.gethostname(), of.port)
    host, _, number = told.rpartition(":")
    host = host.strip("[]")
    shown = told if of.node_addr else f"not set, so other nodes are told {told}"
    try:
        places = await in_thread(
            lambda: socket.getaddrinfo(host, int(number), type=socket.SOCK_STREAM)
        )
    except OSError as error:
        return [
            failure(
                name,
                f"{shown}, which cannot be resolved here ({error.strerror or error})",
                "set NODE_ADDR to host:port with a name that all nodes resolve, or an address",
            )
        ]
    addresses = sorted({str(place[4][0]) for place in places})
    if all(is_loopback(each) for each in addresses):
        return [
            warning(
                name,
                f"{shown} is {addresses[0]}: only nodes on this machine reach it",
                "set NODE_ADDR to this machine's address in the network of the nodes",
            )
        ]
    try:
        answer = await _health(addresses[0], int(number))
    except (OSError, TimeoutError):
        return [ok(name, f"{shown} is {addresses[0]}; nobody listens there now")]
    if answer is None:
        return [
            failure(
                name,
                f"{shown} is {addresses[0]}, where another program answers",
                "correct NODE_ADDR: it must lead to this node",
            )
        ]
    return [ok(name, f"{shown} is {addresses[0]}, where a Conduit answers")]


async def extras() -> list[Finding]:
    """Which optional parts are installed."""
    return [
        ok("extras", f"{extra}: {'installed' if find_spec(package) else 'not installed'} ({what})")
        for extra, (package, what) in EXTRAS.items()
    ]


async def key_files(of: Settings) -> list[Finding]:
    """Whether files with secrets can be read by their owner alone."""
    return await in_thread(lambda: _key_files(of))


def _key_files(of: Settings) -> list[Finding]:
    from conduit.server.first_key import FILE_NAME

    beside = Path(FILE_NAME) if of.database_path is None else of.database_path.with_name(FILE_NAME)
    named = {
        "DATABASE_URL_FILE": of.database_url_file,
        "CONDUIT_ADMIN_KEY_FILE": of.admin_key_file or beside,
    }
    found = []
    for name, path in named.items():
        if path is None:
            continue
        try:
            mode = path.stat().st_mode & 0o777
        except FileNotFoundError:
            continue
        except OSError as error:
            found.append(unseen("key files", f"{path} ({name}): {error.strerror}"))
            continue
        if mode & OTHERS:
            found.append(
                warning(
                    "key files",
                    f"{path} has mode {mode:04o}: others than its owner can read or change the secret in it",
                    f"chmod 600 {path}",
                )
            )
        else:
            found.append(ok("key files", f"{path} is for its owner only"))
    return found
