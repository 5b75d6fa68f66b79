"""What does it cost to know who asks?

The same publishes and the same fan-out, to a server that asks nobody, to one where everybody has an API key,
and to one whose key has patterns and limits that are never reached. The rows are of one run.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Iterator

from bench import fanout, publish, wire
from bench.harness import Case, Outcome
from bench.lanes import PAYLOAD_BYTES
from bench.systems import Server, conduit, directory, running

NOBODY, KEY, BOUNDED = "nobody", "API key", "API key with patterns and limits"
# Never reached: what is measured is asking.
MUCH = 1 << 40
SUBSCRIBERS = 1_000


def cases(short: bool) -> list[Case]:
    """Each piece of work, by each caller."""
    seconds = 2 if short else 6
    work: dict[str, int | float | str] = {
        "clients": publish.CLIENTS,
        "payload_bytes": PAYLOAD_BYTES,
    }
    fan: dict[str, int | float | str] = {
        "subscribers": SUBSCRIBERS,
        "acks": "one frame per message",
    }
    found = []
    for store in ("memory", "sqlite"):
        for caller in (NOBODY, KEY, BOUNDED):
            run = functools.partial(_publish, store, caller, seconds)
            found.append(Case("auth", "conduit", store, work | {"caller": caller}, run))
    for caller in (NOBODY, KEY, BOUNDED):
        run = functools.partial(_fan_out, caller, SUBSCRIBERS, seconds)
        found.append(Case("auth", "conduit", "memory", fan | {"caller": caller}, run))
    return found


def _publish(store: str, caller: str, seconds: int) -> Outcome:
    with _server(store, caller) as server:
        return publish.measured(server, seconds)


def _fan_out(caller: str, subscribers: int, seconds: float) -> Outcome:
    with _server("memory", caller) as server:
        wire.call(server.port, "POST", "/api/topics", {"name": fanout.TOPIC})
        return fanout.measured(server, "conduit", subscribers, seconds, acks=True)


@contextlib.contextmanager
def _server(store: str, caller: str) -> Iterator[Server]:
    """A server, and this process as the caller."""
    first = secrets.token_urlsafe(24)
    settings = {} if caller == NOBODY else {"ENABLE_AUTH": "true", "DEFAULT_API_KEY": first}
    with directory() as path, running(conduit(path, store, **settings)) as server:
        try:
            if caller != NOBODY:
                wire.CALLER.key = first
                wire.CALLER.key = wire.call(server.port, "POST", "/api/keys", _key(caller))["key"]
            yield server
        finally:
            wire.CALLER.key = ""


def _key(caller: str) -> dict[str, object]:
    scopes: list[dict[str, object]] = [
        {"scope": scope} for scope in ("publish", "subscribe", "manage")
    ]
    if caller == KEY:
        return {"name": caller, "scopes": scopes}
    patterns = {"topics": ["bench", "bench.*", "warm", "warm.>", "*"]}
    limits = {"publishes_per_s": MUCH, "publish_bytes_per_s": MUCH, "message_bytes": MUCH}
    return {"name": caller, "scopes": [scope | patterns for scope in scopes], "limits": limits}
