"""The server's settings: what can be set, with its bounds. `environment.py` reads it.

Components get the plain values they need, never the whole. `docs/configuration.md` lists every variable; a
test keeps it equal to the model below.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from conduit import store_url
from conduit.addresses import networks
from conduit.request_size import request_max_bytes
from conduit.variables import PREFIX

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]


def _none_is_unbounded(value: object) -> object:
    return None if value == "none" else value


# An integer that SQLite and JSON clients hold exactly, or the word `none`.
Bound = Annotated[
    Annotated[int, Field(ge=1, le=1 << 53)] | None, BeforeValidator(_none_is_unbounded)
]


def may_be_none(field: FieldInfo) -> bool:
    """Whether a setting may be the word `none`."""
    return any(
        isinstance(each, BeforeValidator) and each.func is _none_is_unbounded
        for each in field.metadata
    )


_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^\s/?#@,\"]+")
_NODE_ID = re.compile(r"[!-~]{1,255}")


def _variable(field: str) -> str:
    return PREFIX + field.upper()


class Settings(BaseModel):
    """Everything that can be set. Times in seconds, sizes in bytes, as the names say."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_variable)

    # Names that deployments of the original server have set already.
    port: int = Field(
        8080,
        description="TCP port of everything; 0 takes a free one.",
        alias="PORT",
        ge=0,
        le=65_535,
    )
    database_url: SecretStr | None = Field(
        None,
        description="The store: `sqlite:///relative/path`, `sqlite:////absolute/path` or "
        "`postgresql://user:password@host/database`, or several of the last, separated by blanks. "
        "Unset: memory, lost on exit.",
        alias="DATABASE_URL",
    )
    database_url_file: Path | None = Field(
        None,
        description="A file that holds `DATABASE_URL`, which is not set then: so a password is in no "
        "environment either.",
        alias="DATABASE_URL_FILE",
    )
    redis_url: SecretStr | None = Field(
        None, description="Refused: a cluster is not in this version.", alias="REDIS_URL"
    )
    enable_auth: bool = Field(
        False,
        description="`true` is refused: API keys are not in this version.",
        alias="ENABLE_AUTH",
    )
    default_api_key: SecretStr | None = Field(
        None, description="No effect in this version.", alias="DEFAULT_API_KEY"
    )
    node_id: str = Field(
        default_factory=socket.gethostname,
        description="Name of this node in `/health` and logs.",
        alias="NODE_ID",
    )
    node_addr: str | None = Field(None, description="No effect in this version.", alias="NODE_ADDR")
    internal_secret: SecretStr | None = Field(
        None, description="No effect in this version.", alias="INTERNAL_SECRET"
    )
    cors_origin: str = Field(
        "*",
        description="The origin whose pages may call, and connect to `/ws`, as `https://app.example`; "
        "`*`: any.",
        alias="CORS_ORIGIN",
    )

    allow_unsafe_database: bool = Field(
        False,
        description="Start although PostgreSQL runs with `fsync`, `full_page_writes` or "
        "`synchronous_commit` off. Receipts then say `durable: false`.",
    )

    # The process
    host: str = Field("0.0.0.0", description="Address to listen on.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="The least severe lines to log: `debug`, `info`, `warning` or `error`.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="`text`, `json`, or `auto`: text on a terminal, else JSON."
    )
    metrics_max_subscriptions: int = Field(
        100,
        description="Of so many durable subscriptions `/metrics` has series of their own: those with the "
        "largest lag. 0: of none.",
        ge=0,
        le=10_000,
    )
    drain_delay_s: float = Field(
        0.0,
        description="After SIGTERM the server goes on for so long, while `/health/ready` says 503 "
        "`shutting_down`: the time that a load balancer needs to notice.",
        ge=0,
        le=3_600,
        allow_inf_nan=False,
    )
    shutdown_timeout_s: Seconds = Field(
        10.0,
        description="After SIGTERM, and `CONDUIT_DRAIN_DELAY_S`, the process is gone within this time, "
        "whatever clients do.",
    )

    # Publishing
    publish_timeout_s: Seconds = Field(
        5.0,
        description="A publish is answered within this time. Not stored by then: 503 `overloaded`. "
        "With the store by then: 503 `outcome_unknown`, and the commit goes on.",
    )
    auto_create_topics: bool = Field(
        False, description="Publishing to an unknown topic creates it instead of answering 404."
    )
    max_payload_bytes: Bytes = Field(
        262_144, description="Largest payload of a message.", le=64 << 20
    )
    max_json_depth: Count = Field(
        128, description="Most levels of arrays and objects in a payload.", le=512
    )
    max_batch_count: Count = Field(1_000, description="Most messages in one batch.", le=10_000)
    max_batch_bytes: Bytes = Field(8_388_608, description="Largest body of a batch.", le=256 << 20)
    idempotency_window_s: Seconds = Field(
        600.0, description="How long a repeated idempotency key is answered with the first result."
    )
    idempotency_max_count: Count = Field(
        250_000,
        description="Most idempotency keys known at a time, of all topics; "
        "beyond it the topic that has the most forgets its oldest early.",
        le=10_000_000,
    )

    # Connections
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

    # What is kept
    max_topics: Count = Field(100_000, description="Most topics, of all tenants.")
    max_subscriptions: Count = Field(
        100_000, description="Most durable subscriptions, of all tenants."
    )
    retention_max_age_s: Bound = Field(
        604_800,
        description="Age at which messages are removed, unless the topic says otherwise; or `none`.",
    )
    retention_max_messages: Bound = Field(
        None, description="Most messages that a topic keeps, unless it says otherwise; or `none`."
    )
    retention_max_bytes: Bound = Field(
        1 << 30, description="Most bytes that a topic keeps, unless it says otherwise; or `none`."
    )
    retention_interval_s: Seconds = Field(5.0, description="Pause between two rounds of removing.")
    memory_max_messages: Count = Field(
        1_000_000, description="Most messages in memory, of all topics (without `DATABASE_URL`)."
    )
    memory_max_bytes: Bytes = Field(
        268_435_456,
        description="Most bytes of messages and dead letters in memory, of all topics "
        "(without `DATABASE_URL`). Dead letters get up to half of it.",
    )
    # Not Bytes: the least value of a type counts, and not that of a field.
    delivery_memory_max_bytes: int = Field(
        134_217_728,
        description="Most bytes of messages that this node keeps in memory to deliver them: the newest of "
        "each topic that is followed, and what is read from the log. At least 1048576.",
        ge=1 << 20,
    )
    dead_letter_max_age_s: Count = Field(
        1_209_600,
        description="Age at which dead letters are removed: since the death, or since the redrive of one "
        "that was redriven.",
    )
    dead_letter_max_count: Count = Field(
        100_000,
        description="Most dead letters that are kept of one durable subscription; "
        "beyond it the oldest are dropped, first those that were redriven.",
    )
    dead_letter_max_bytes: Bytes = Field(
        1 << 30, description="Most bytes of dead letters of one durable subscription."
    )
    ephemeral_dead_letter_max_count: Count = Field(
        1_000,
        description="Most dead letters of all subscribers without a name of one topic.",
    )
    ephemeral_dead_letter_max_bytes: Bytes = Field(16 << 20, description="Most bytes of these.")

    warnings: tuple[str, ...] = Field((), exclude=True)
    """Sentences to be logged at start: what is set but has no effect. Not a variable."""

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        store_url.check(url.get_secret_value())
        return url

    @field_validator("redis_url")
    @classmethod
    def _no_cluster(cls, _url: SecretStr | None) -> None:
        raise ValueError("is set, but a cluster is not in this version; unset it")

    @field_validator("enable_auth")
    @classmethod
    def _no_auth(cls, enabled: bool) -> bool:
        if enabled:
            raise ValueError("is true, but API keys are not in this version; unset it")
        return enabled

    @field_validator("node_id")
    @classmethod
    def _printable_node(cls, name: str) -> str:
        if not _NODE_ID.fullmatch(name):
            raise ValueError("must be 1–255 printable ASCII characters without spaces")
        return name

    @field_validator("cors_origin")
    @classmethod
    def _one_origin(cls, origin: str) -> str:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("must be * or one origin such as https://app.example, without a path")
        return origin

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        networks(text)
        return text

    @field_validator("max_batch_bytes")
    @classmethod
    def _batch_holds_a_message(cls, size: int, info: ValidationInfo) -> int:
        payload = info.data.get("max_payload_bytes", 0)
        if size < payload:
            raise ValueError(f"must be at least {_variable('max_payload_bytes')} ({payload})")
        return size

    @field_validator("connection_memory_max_bytes", "max_bytes_per_connection")
    @classmethod
    def _a_request_has_room(cls, size: int, info: ValidationInfo) -> int:
        limits = ("max_payload_bytes", "max_batch_bytes", "max_headers_bytes")
        given: list[int] = [info.data[name] for name in limits if name in info.data]
        # One that is wrong is told by itself.
        if len(given) == len(limits) and size < (least := request_max_bytes(*given)):
            raise ValueError(
                f"is {size}: it must be at least {least}, which one request may take; that is less with less "
                f"of {_variable('max_batch_bytes')}, {_variable('max_payload_bytes')} or "
                f"{_variable('max_headers_bytes')}"
            )
        return size

    @property
    def database_path(self) -> Path | None:
        """The SQLite file, if that is the store."""
        text = self._database
        path = text.removeprefix(store_url.SQLITE)
        return None if path == text else Path(path)

    @property
    def postgres_urls(self) -> tuple[str, ...]:
        """The PostgreSQL databases, if they are the store. Secrets."""
        text = self._database
        return tuple(text.split()) if text.startswith(store_url.POSTGRES) else ()

    @property
    def database_place(self) -> str | None:
        """Where the log is, without a secret; None: in memory."""
        return store_url.place(self._database) if self._database else None

    @property
    def _database(self) -> str:
        return "" if self.database_url is None else self.database_url.get_secret_value()
