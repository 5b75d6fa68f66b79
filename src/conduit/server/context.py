"""What every connection shares: the broker, the limits, and who is connected."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec

from conduit.broker.administer.subscriptions import Subscriptions
from conduit.broker.broker import Broker
from conduit.broker.standstill import Standstill
from conduit.cluster.apart.copying import Copying
from conduit.cluster.asking import Asking
from conduit.cluster.at_owner import AtOwner
from conduit.cluster.exchange import Exchange
from conduit.cluster.hearing import Hearing
from conduit.cluster.leaving import Leaving
from conduit.cluster.links.links import Links
from conduit.cluster.links.peers import LinkView
from conduit.cluster.own_state import OwnState
from conduit.cluster.this_node import ThisNode
from conduit.core.drain import Pace
from conduit.core.liveness import Timing
from conduit.core.message import Retention
from conduit.core.quota import Kind, Quota
from conduit.errors import StoreUnavailable, Unavailable
from conduit.request_size import frame_max_bytes, request_max_bytes
from conduit.server.accepting import Accepting
from conduit.server.closings import Closings
from conduit.server.collecting import Collecting
from conduit.server.doors import Door, main_door, operators_door
from conduit.server.entrance import SPARE_MAX_COUNT, Entrance
from conduit.server.exposure import Exposure, exposure
from conduit.server.gate import Gate
from conduit.server.intake import Intake
from conduit.server.origins import ANY, Origins
from conduit.server.slow import SlowClosed
from conduit.server.unsigned import Unsigned
from conduit.server.websocket import FRAMES_MAX_COUNT
from conduit.tenancy.audit import Audit
from conduit.tenancy.opening import Tenancy
from conduit.tenancy.principal import Principal

if TYPE_CHECKING:
    from conduit.cluster.apart.meeting import Meeting
    from conduit.cluster.registry.registry import Registry
    from conduit.server.tracing import Tracing

NO_BOUNDS = Retention()
# Sockets at /internal/link before their proof: a node needs some milliseconds for it.
UNPROVED_MAX_COUNT = 64
# Between two looks at the deadlines of all connections.
SWEEP_INTERVAL_S = 1.0
# One that comes later than this was not late because the loop was busy.
SWEEP_LATE_MAX_S = 2.0

logger = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of this node that the edges enforce; `settings/` documents each."""

    max_payload_bytes: int = 262_144
    max_json_depth: int = 128
    max_batch_count: int = 1_000
    max_batch_bytes: int = 8_388_608
    max_headers_bytes: int = 16_384
    max_connections: int = 20_000
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    keep_alive_s: float = 75.0
    max_connections_per_address: int = 5_000
    trusted_proxies: str = "private"
    silent_timeout_s: float = 10.0
    auth_timeout_s: float = 5.0
    max_unauthenticated: int = 1_000
    unread_timeout_s: float = 30.0
    unread_min_bytes_per_s: int = 1_024
    connection_memory_max_bytes: int = 268_435_456
    max_bytes_per_connection: int = 33_554_432
    ping_interval_s: float = 25.0
    pong_timeout_s: float = 10.0
    slow_timeout_s: float = 10.0
    max_frames_per_s: int = FRAMES_MAX_COUNT
    metrics_tenants: bool = False

    @property
    def max_frame_bytes(self) -> int:
        """Largest WebSocket message from a client, and largest body of a request but a batch."""
        return frame_max_bytes(self.max_payload_bytes)

    @property
    def max_request_bytes(self) -> int:
        """What one connection keeps at most of a request that is within the limits."""
        return request_max_bytes(
            self.max_payload_bytes, self.max_batch_bytes, self.max_headers_bytes
        )


class Keeping(Protocol):
    """A connection as the quota sees it."""

    @property
    def address(self) -> str:
        """Whose connection it is; see `kernel.peer_address`."""

    def give_way(self, kind: Kind) -> None:
        """Let go what it keeps; of this kind it keeps most."""


class Connection(Keeping, Protocol):
    """An open HTTP connection as the sweep sees it."""

    def sweep(self, now: float) -> None:
        """Act on every deadline that has passed; `now` is of `Context.now`."""

    def abort(self) -> None:
        """Drop the connection at once."""


class OpenSession(Keeping, Protocol):
    """An open WebSocket as those see it who sweep and stop the server."""

    def check(self, now: float) -> None:
        """Act on every deadline that has passed; `now` is of `Context.now`."""

    def leave_tenant(self, tenant: str) -> None:
        """This tenant is gone: say so and close, if it is in it."""

    def announce_restart(self, reconnect_after_ms: int) -> None:
        """Say when to come back, and close."""

    def abort(self) -> None:
        """Drop the connection at once."""


class Context:
    """One per process, made by `server/app.py`; handed to every connection.

    An HTTP connection adds itself to `connections` when it is made and discards itself when it is
    lost or becomes a WebSocket; a session is in `sessions` from `on_open` to `on_closed`. Once a
    second every connection is swept and every session checked.
    """

    exchange: Exchange | None = None
    """What links this node with others, if the cluster has a secret."""
    hearing: Hearing | Copying | None = None
    """What hears of messages that other nodes have stored, if any may."""
    leaving: Leaving | None = None
    """How this node leaves others that share its log, and comes back; None if there can be none."""
    subscriptions: Subscriptions | AtOwner
    """Durable ones, where they run: here, or on other nodes too."""
    meeting: Meeting | None = None
    """What links this node with others that have logs of their own, if it is one of such."""
    tracing: Tracing | None = None
    """What records traces, if they are wanted."""

    def __init__(
        self,
        broker: Broker,
        limits: Limits,
        *,
        default_retention: Retention = NO_BOUNDS,
        cors_origin: str = ANY,
        node: ThisNode | None = None,
        spare_max_count: int = SPARE_MAX_COUNT,
    ) -> None:
        self.broker = broker
        self.subscriptions = broker.subscriptions
        self.limits = limits
        self.default_retention = default_retention
        self.origins = Origins(cors_origin)
        self.node = node or ThisNode("node", "localhost:8080", broker.clock.wall_ms())
        self.timing = Timing(
            ping_interval_s=limits.ping_interval_s,
            pong_timeout_s=limits.pong_timeout_s,
            slow_timeout_s=limits.slow_timeout_s,
            min_bytes_per_s=limits.unread_min_bytes_per_s,
        )
        self.pace = Pace(limits.unread_timeout_s, limits.unread_min_bytes_per_s)
        self.memory = _quota(limits)
        """What connections keep of what has begun and not ended, and of what is not read."""
        self.closings = Closings()
        self.entrance = _entrance(limits, spare_max_count)
        self.standstill = Standstill(monotonic, SWEEP_INTERVAL_S, SWEEP_LATE_MAX_S, _tell)
        self.gate = Gate()
        self.gate.nobody.meter = broker.allowances.meter(self.gate.nobody.tenant)
        self.gate.nobody.look_at_bounds()
        self.audit = Audit(broker.store, broker.clock)
        self.tenancy: Tenancy | None = None
        """Keys and tenants; None without authentication."""
        self.unsigned = Unsigned(limits.max_unauthenticated)
        """WebSockets that have not signed in."""
        self.links: Links | None = None
        """To other nodes; None: there is no cluster, and nothing is at /internal/link."""
        broker.count_connections = lambda: self.connection_count
        self.own_state = OwnState(broker, lambda: self.connection_count, self._link_views)
        """What this node says of itself, here and to other nodes …"""
        self.asking = Asking(lambda: self.node, lambda: self.links)
        """… and what asks them."""
        self.unproved = Unsigned(UNPROVED_MAX_COUNT)
        """Sockets there that have not proved that they are nodes."""
        self.connections: set[Connection] = set()
        self.sessions: set[OpenSession] = set()
        self.slow = SlowClosed(broker.stats)
        self.intake = Intake(monotonic, lambda: broker.store.needs_lock)
        self.link_intake = Intake(monotonic, lambda: broker.store.needs_lock)
        """What nodes send on their links waits for each other, and for nothing that clients send."""
        self.accepting = Accepting(lambda: limits.max_connections - self.connection_count)
        self.collecting = Collecting()
        self.exposure = exposure((), self.origins, has_auth=False)
        self.door = main_door(self.origins)
        """The port for everybody."""
        self.ready = False
        """False before the store is open and from the first signal on."""
        self.is_stopping = False
        """Whether new WebSockets are refused: not while it drains, although it is not ready."""

    def rightful(self, caller: Principal) -> Principal:
        """The same caller, or as it is now if its key was changed. Raises Unauthenticated if that is good no
        more, and as `Gate.renewed` does."""
        if caller.is_over or caller.is_expired(self.wall_ms()):
            return self.gate.renewed(caller)
        return caller

    def open_to_operators(self) -> Door:
        """The operator has a port of his own, and the one for everybody less. Before fronts are made."""
        self.door = main_door(self.origins, beside_operators=True)
        return operators_door()

    def listens(self, addresses: Iterable[str]) -> Exposure:
        """The server listens on these, from now on. Returns what that means."""
        self.exposure = exposure(addresses, self.origins, has_auth=not self.gate.is_open)
        return self.exposure

    def require(self, tenancy: Tenancy) -> None:
        """From now on everybody has to say who he is. Before the server listens."""
        self.tenancy = tenancy
        secrets = self.gate.internal_secrets
        pages = tenancy.pages
        self.gate = Gate(tenancy.registry, self.audit, tenancy.ticketing, secrets, pages)
        ended, state = pages.ended, self.own_state
        state.sign_out = lambda one: ended.add(one, self.wall_ms())
        state.signed_out = lambda: ended.all(self.wall_ms())
        tenancy.registry.on_gone = self._tenant_is_gone
        self.origins.has_auth = True

    def _tenant_is_gone(self, tenant: str) -> None:
        self.broker.forget_tenant(tenant)
        for session in tuple(self.sessions):
            session.leave_tenant(tenant)

    def not_ready(self) -> Unavailable | None:
        """Why requests are not served, as `/health/ready` and `conduit_ready` say; None if they are."""
        if not self.ready:
            return Unavailable("the server is stopping", code="shutting_down")
        if self.leaving is not None and not self.leaving.is_serving:
            return Unavailable(self.leaving.told, code="draining")
        if not self.node.is_settled:
            return Unavailable("it is not known yet whether this node may have its name")
        if (problem := self.broker.problem) is not None:
            return StoreUnavailable(f"the store takes no writes: {problem}")
        return None

    def keep(self, who: Keeping, kind: Kind, size: int) -> None:
        """`who` keeps so many bytes of this kind now; if that is too much, somebody gives way."""
        now = self.now()
        if self.memory.keep(who, kind, size, now):
            for leaving, most in self.memory.to_give_way(now):
                leaving.give_way(most)

    def moved(self, who: Keeping, kind: Kind) -> None:
        """Of what `who` keeps something was taken, or made room for something new."""
        self.memory.moved(who, kind, self.now())

    @property
    def connection_count(self) -> int:
        """Open connections of both kinds, which `max_connections` bounds; without those too many."""
        return len(self.connections) + len(self.sessions) - self.entrance.spare_count

    @property
    def registry(self) -> Registry | None:
        """What is known by Redis, if the nodes have one."""
        if self.meeting is not None:
            return self.meeting.registry
        return None if self.exchange is None else self.exchange.registry

    def _link_views(self) -> list[LinkView]:
        return [] if self.links is None else self.links.views()

    def wall_ms(self) -> int:
        """What the time is, for the ends of credentials: milliseconds since the epoch."""
        return self.broker.clock.wall_ms()

    def now(self) -> float:
        """Seconds that grow, for deadlines of connections; see `standstill.py`."""
        return self.standstill.now()


def _entrance(limits: Limits, spare_max_count: int) -> Entrance:
    return Entrance(
        limits.max_connections,
        limits.max_connections_per_address,
        limits.trusted_proxies,
        spare_max_count,
    )


def _quota(limits: Limits) -> Quota[Keeping]:
    # One request within the limits has room: what is set and less is refused, and a default gives way.
    return Quota(
        max(limits.connection_memory_max_bytes, limits.max_request_bytes),
        max(limits.max_bytes_per_connection, limits.max_request_bytes),
        limits.unread_min_bytes_per_s,
        lambda who: who.address,
    )


def _tell(stood_s: float) -> None:
    logger.warning("the process stood still for %.1f s: that counts against no connection", stood_s)
