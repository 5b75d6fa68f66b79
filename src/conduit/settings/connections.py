"""What connections may keep, and how long they may stand still."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from conduit.addresses import networks
from conduit.request_size import request_max_bytes
from conduit.settings.types import Count, Group, Seconds, variable


class Connections(Group):
    """Bounds of connections. Behind those of publishes, which they rest on."""

    max_headers_bytes: int = Field(
        16_384,
        # With less, a load balancer's probe would be refused.
        ge=1_024,
        le=1 << 20,
        description="Largest request line and headers together; 1024 to 1048576.",
    )
    max_connections: Count = Field(20_000, description="Most open connections, of all kinds.")
    max_connections_per_address: Count = Field(
        5_000,
        description="Most open connections from one address, of IPv6 from one /64 network; "
        "`CONDUIT_TRUSTED_PROXIES` are not bounded.",
    )
    trusted_proxies: str = Field(
        "private",
        description="Addresses and networks, separated by commas, that may open as many connections as they "
        "like; `private` stands for loopback, private and link local ones, `none` for none.",
    )
    silent_timeout_s: Seconds = Field(
        10.0, description="A new connection that sends nothing is closed after this time."
    )
    max_subscriptions_per_connection: Count = Field(
        128, description="Most subscriptions that one WebSocket connection holds."
    )
    max_frames_per_s: Count = Field(
        100_000,
        description="Most frames of one WebSocket connection in a second, of all kinds. Beyond it, it is "
        "read again in the next second; nothing is lost.",
    )
    max_pending_retries: Count = Field(
        10_000,
        description="Most deliveries of one subscription that wait for their next attempt. "
        "Beyond it, it gets nothing new until some were handed out again or settled.",
    )
    header_timeout_s: Seconds = Field(
        10.0, description="A request's headers must arrive within this time."
    )
    body_timeout_s: Seconds = Field(
        30.0,
        description="A request's body, and a whole WebSocket message, must arrive within this time.",
    )
    keep_alive_s: Seconds = Field(
        75.0, description="An idle HTTP connection is closed after this time."
    )
    unread_timeout_s: Seconds = Field(
        30.0,
        description="An HTTP connection that in this time has taken neither all of its answers nor what "
        "`CONDUIT_UNREAD_MIN_BYTES_PER_S` asks for is closed.",
    )
    unread_min_bytes_per_s: Count = Field(
        1_024,
        description="So fast at least must answers over HTTP be read, while any are unread, and frames over "
        "WebSocket, while too many wait.",
    )
    # Not Bytes: the least value of a type counts, and not that of a field.
    connection_memory_max_bytes: int = Field(
        268_435_456,
        description="Most bytes that all connections together keep in memory: requests and messages that "
        "have not come in whole, and answers and frames that were not taken. Beyond it, those that stand "
        "still are closed first, and of these the ones that have kept most for longest. At least what one "
        "request may take.",
        ge=1 << 20,
    )
    max_bytes_per_connection: int = Field(
        33_554_432,
        description="Most bytes of the same that one connection keeps; one that keeps more is closed. "
        "At least what one request may take.",
        ge=1 << 20,
    )
    ping_interval_s: Seconds = Field(
        25.0, description="A silent WebSocket connection is pinged this often."
    )
    pong_timeout_s: Seconds = Field(
        10.0,
        description="Without any answer it is closed this long after its system has the ping, or if until "
        "then it takes less than `CONDUIT_UNREAD_MIN_BYTES_PER_S` asks for.",
    )
    slow_timeout_s: Seconds = Field(
        10.0,
        description="A WebSocket connection that does not drain, and in this time takes less than "
        "`CONDUIT_UNREAD_MIN_BYTES_PER_S` asks for, is closed with 4008.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        networks(text)
        return text

    @field_validator("connection_memory_max_bytes", "max_bytes_per_connection")
    @classmethod
    def _a_request_has_room(cls, size: int, info: ValidationInfo) -> int:
        limits = ("max_payload_bytes", "max_batch_bytes", "max_headers_bytes")
        given: list[int] = [info.data[name] for name in limits if name in info.data]
        # One that is wrong is told by itself.
        if len(given) == len(limits) and size < (least := request_max_bytes(*given)):
            raise ValueError(
                f"is {size}: it must be at least {least}, which one request may take; that is less with less "
                f"of {variable('max_batch_bytes')}, {variable('max_payload_bytes')} or "
                f"{variable('max_headers_bytes')}"
            )
        return size
