"""How many publishes per second over WebSocket, when a client does not wait for each answer?

Each connection has a window of publishes on the way, every one with a `ref` of its own. Every answer
is matched by it and compared with the log: the message must be at the `seq` that the answer says,
nothing else may be there, and each connection's messages must be in the order of their publishes.
"""

from __future__ import annotations

import functools
import re
import socket

from bench import lanes, readback, wire
from bench.harness import Case, Outcome
from bench.lanes import TOPIC, WARM_TOPIC, Dialect, Shape
from bench.systems import Conduit, directory, running

# Publishes of one connection that are not answered yet; Conduit stops reading at 4,096.
WINDOW = 1000


def cases(short: bool) -> list[Case]:
    """Conduit on each store, with one connection and with four."""
    seconds = 2.0 if short else 5.0
    return [
        _case(store, connections, seconds)
        for connections in (1, 4)
        for store in ("memory", "sqlite")
    ]


def _case(store: str, connections: int, seconds: float) -> Case:
    shape = Shape(connections, WINDOW)
    work: dict[str, int | float | str] = {
        "clients": connections,
        "window": WINDOW,
        "payload_bytes": lanes.PAYLOAD_BYTES,
        "loop": f"closed, {seconds:g} s, at most {shape.most:,} messages",
    }
    run = functools.partial(_run, store, shape, seconds)
    return Case("pipelined", "conduit", store, work, run)


def _run(store: str, shape: Shape, seconds: float) -> Outcome:
    with directory() as path, running(Conduit(path, store)) as server:
        for topic in (WARM_TOPIC, TOPIC):
            wire.call(server.port, "POST", "/api/topics", {"name": topic})
        return lanes.measure(server, _WEBSOCKET, shape, seconds, readback.log)


def _publishes(topic: str, _lane: int, payloads: list[bytes]) -> bytes:
    return b"".join(
        [
            wire.text_frame(
                b'{"type":"publish","topic":"%b","payload":%b,"ref":"%b"}'
                % (topic.encode(), payload, wire.NUMBER.findall(payload)[0])
            )
            for payload in payloads
        ]
    )


def _connect(port: int, _lane: int) -> socket.socket:
    return wire.websocket(port)


_WEBSOCKET = Dialect(
    connect=_connect,
    publishes=_publishes,
    # Looks ahead, so that the number comes before the place although it stands behind it.
    answer=re.compile(rb'"seq":(?=\d+,"epoch":"[^}]*"duplicate":false,"ref":"(\d+)"\})(\d+)'),
    end=b'"}',
    refusal=b'"type":"error"',
)
