"""Two tenants of one server with authentication: who is beside, and who attacks.

    purses = tenants.settle(server)

What a server has open is asked here as well, with the operator's key where it needs one.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
from pathlib import Path
from typing import Any

from bench import wire
from bench.systems import Server

NEIGHBOUR, ATTACKER = "neighbour", "attacker"
KEY_FILE = "operators-key"
SETTINGS = {"ENABLE_AUTH": "true", "CONDUIT_ADMIN_KEY_FILE": KEY_FILE}
# Of one token there may be so many patterns, in each of so many scopes; all together they are nearly as long
# as a token may be.
PATTERNS_COUNT, PATTERN_CHARS = 32, 84
_SCOPES = [{"scope": scope} for scope in ("publish", "subscribe", "manage")]


@dataclasses.dataclass(frozen=True)
class Keys:
    """Credentials; all empty on a server without authentication."""

    operator: str = ""
    neighbour: str = ""
    attacker: str = ""
    attacker_id: str = ""
    second: str = ""
    """The attacker's other key."""


NO_KEYS = Keys()


@dataclasses.dataclass
class Held:
    """What the server has open."""

    files: int
    connections: int
    websockets: int
    unsigned: int


def settle(server: Server) -> Keys:
    """Make both tenants, and their keys."""
    operator = (server.directory / KEY_FILE).read_text().strip()
    made: dict[str, dict[str, Any]] = {}
    for name in (NEIGHBOUR, ATTACKER):
        _as(operator, server.port, "POST", "/api/tenants", {"name": name})
    for place, tenant in (("neighbour", NEIGHBOUR), ("attacker", ATTACKER), ("second", ATTACKER)):
        body = {"name": place, "scopes": _SCOPES}
        made[place] = _as(operator, server.port, "POST", "/api/keys", body, tenant)
    texts = {place: str(key["key"]) for place, key in made.items()}
    return Keys(operator, attacker_id=str(made["attacker"]["id"]), **texts)


def revoke(port: int, keys: Keys) -> None:
    """The attacker's first key ends."""
    path = f"/api/keys/{keys.attacker_id}"
    _as(keys.operator, port, "DELETE", path, tenant=ATTACKER)


def large_tokens(port: int, key: str, count: int) -> tuple[str, ...]:
    """So many, none like another, each with as many patterns as fit."""
    found = []
    for number in range(count):
        body = {"scopes": [_large(f"n{number}", scope) for scope in ("subscribe", "publish")]}
        found.append(str(_as(key, port, "POST", "/api/tokens", body)["token"]))
    return tuple(found)


def _large(name: str, scope: str) -> dict[str, object]:
    names = (f"{name}.p{each}.".ljust(PATTERN_CHARS, "x") for each in range(PATTERNS_COUNT))
    return {"scope": scope, "topics": [f"{each}.*" for each in names]}


def held(server: Server, key: str) -> Held:
    """What it has open now; the connection that asks is one of it."""
    files = len(os.listdir(Path(f"/proc/{server.pid}/fd")))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", "/metrics", headers=headers)
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    gauges = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    names = ("http_connections", "websockets", "unsigned_websockets")
    return Held(files, *(int(float(gauges[f"conduit_{name}"])) for name in names))


def _as(
    key: str, port: int, method: str, path: str, body: object = None, tenant: str = ""
) -> dict[str, Any]:
    """A request with this key; an operator's in that tenant."""
    more = {"Authorization": f"Bearer {key}"}
    if tenant:
        more["X-Conduit-Tenant"] = tenant
    return wire.call(port, method, path, body, more)
