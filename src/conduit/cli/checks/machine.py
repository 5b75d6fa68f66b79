"""This machine: open files, ports, the address that other nodes are told, what is installed."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from pathlib import Path

from conduit import otel_variables
from conduit.cli.checks.finding import Finding, failure, in_thread, ok, unseen, warning
from conduit.cli.checks.own import is_loopback
from conduit.settings import Settings

CONNECT_TIMEOUT_S = 3.0
# Of an answer to `GET /`.
INDEX_MAX_BYTES = 65_536
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
        is_ours = await _is_conduit(where, number)
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
    if is_ours:
        return ok(
            check,
            f"{number} is taken by a Conduit; `conduit doctor --url http://{where}:{number}` looks at it",
        )
    return failure(
        check,
        f"{number} is taken by a program that does not answer as Conduit does",
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


async def _is_conduit(host: str, number: int) -> bool:
    """Whether what listens there calls itself Conduit: that it is well is what others say, too. Raises
    OSError if nothing does."""
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(host, number), CONNECT_TIMEOUT_S
    )
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = bytearray()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while len(answer) < INDEX_MAX_BYTES and (part := await reader.read(INDEX_MAX_BYTES)):
                answer += part
    except (TimeoutError, OSError):
        return False
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        told = json.loads(body)
    except ValueError:
        return False
    is_named = isinstance(told, dict) and told.get("name") == "Conduit"
    return is_named and head.startswith(b"HTTP/1.1 200")


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
    return [await _reached(name, f"{shown} is {addresses[0]}", addresses[0], int(number))]


async def _reached(check: str, shown: str, host: str, number: int) -> Finding:
    try:
        if await _is_conduit(host, number):
            return ok(check, f"{shown}, where a Conduit answers")
    except OSError:
        if await in_thread(lambda: _may_bind(host, 0)):
            return ok(check, f"{shown}, an address of this machine; nobody listens there now")
        return unseen(
            check,
            f"{shown}, which is no address of this machine, and nobody answers there: whether it leads to "
            "this node is seen when the server runs",
        )
    return failure(
        check,
        f"{shown}, where a program answers that is not Conduit",
        "correct NODE_ADDR: it must lead to this node",
    )


async def extras(of: Settings) -> list[Finding]:
    """Which optional parts are installed. That one is needed and missing is said with the settings."""
    is_there, wanted = otel_variables.is_installed(), of.traces != "off"
    installed = "installed" if is_there else "not installed"
    return [ok("extras", f"otel: {installed} (traces{', which are on' if wanted else ''})")]


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
