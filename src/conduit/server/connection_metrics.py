"""What connections there are and keep, which bounds they reach, and how this process does, as metrics."""

from __future__ import annotations

from conduit import __version__
from conduit.server.context import Context
from conduit.server.logs import dropped_line_count
from conduit.server.measures import Measure, Table, counter, gauge

CONNECTIONS: Table[Context] = Table(
    "Connections",
    (
        gauge("http_connections", "Open HTTP connections.", lambda node: len(node.connections)),
        gauge("websockets", "Open WebSocket connections.", lambda node: len(node.sessions)),
        gauge(
            "connections_limit",
            "As many connections as this node takes: CONDUIT_MAX_CONNECTIONS.",
            lambda node: node.limits.max_connections,
        ),
        gauge(
            "unsigned_websockets",
            "Open WebSocket connections that have not signed in; bounded by CONDUIT_MAX_UNAUTHENTICATED.",
            lambda node: len(node.unsigned),
        ),
        gauge(
            "connection_memory_bytes",
            "What connections keep in memory, by kind; bounded by CONDUIT_CONNECTION_MEMORY_MAX_BYTES.",
            lambda node: {kind.value: size for kind, size in node.memory.bytes_by_kind.items()},
            "kind",
        ),
        counter(
            "connection_closed",
            "Connections closed or refused because a bound was reached, by reason.",
            lambda node: node.closings.counts,
            "reason",
        ),
        counter(
            "slow_closed",
            "WebSocket connections closed with 4008 because they did not drain.",
            lambda node: node.broker.stats.slow_closed_count,
        ),
        counter(
            "frames_held",
            "Times that a WebSocket was not read for a part of a second, because it had sent as many frames "
            "as CONDUIT_MAX_FRAMES_PER_S.",
            lambda node: node.broker.stats.frames_held_count,
        ),
        counter(
            "bad_frame",
            "Frames of clients that could not be used.",
            lambda node: node.broker.stats.bad_frame_count,
        ),
        counter(
            "bad_closed",
            "WebSocket connections closed with 4529 because too many of their frames could not be used.",
            lambda node: node.broker.stats.bad_closed_count,
        ),
    ),
)

PROCESS: Table[Context] = Table(
    "The process",
    (
        Measure(
            "info",
            "conduit",
            "The node: always 1, with its version and the kind of its store as labels.",
            lambda node: {"version": __version__, "store": node.broker.store.kind},
            ("version", "store"),
        ),
        gauge(
            "ready",
            "1 while /health/ready says 200, else 0.",
            lambda node: int(node.not_ready() is None),
        ),
        gauge(
            "loop_lag_seconds",
            "How long something that was due has waited for its turn: the longest of ten seconds.",
            lambda node: node.broker.stats.loop_lateness.worst_s(node.broker.clock.now()),
        ),
        Measure(
            "summary",
            "gc_pause_seconds",
            "Pauses for Python's garbage collector, in which nothing else runs.",
            lambda node: (node.collecting.pauses.count, node.collecting.pauses.total_s),
        ),
        gauge(
            "gc_longest_pause_seconds",
            "The longest pause for Python's garbage collector since the start.",
            lambda node: node.collecting.pauses.longest_s,
        ),
        counter(
            "log_line_dropped",
            "Lines of this server's own log that were dropped: nobody took them, or the disk was full.",
            lambda _: dropped_line_count(),
        ),
    ),
)
