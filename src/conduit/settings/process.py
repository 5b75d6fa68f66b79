"""The process: where it listens, what it says, how it stops."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from conduit.settings.types import Group, Seconds


class Process(Group):
    """What the process is told."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    admin_port: int | None = Field(
        None,
        description="TCP port for operators: `/metrics`, `/docs`, `/openapi.json` and all of `/health`, "
        "without a key. They are not at `PORT` then. 0 takes a free one. Unset: no such port.",
        ge=0,
        le=65_535,
    )
    admin_host: str = Field(
        "127.0.0.1", description="Address to listen on for operators, whom nobody asks for a key."
    )
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
    metrics_tenants: bool = Field(
        False,
        description="These series have the label `tenant`. Else all subscriptions of one name share one.",
    )
    drain_delay_s: float = Field(
        0.0,
        description="After SIGTERM the server goes on for so long, while `/health/ready` says 503 "
        "`shutting_down`: the time that a load balancer needs to notice. The sockets of a node that was "
        "drained stay open for so long, too.",
        ge=0,
        le=3_600,
        allow_inf_nan=False,
    )
    shutdown_timeout_s: Seconds = Field(
        10.0,
        description="After SIGTERM, and `CONDUIT_DRAIN_DELAY_S`, the process is gone within this time, "
        "whatever clients do.",
    )

    @field_validator("admin_port")
    @classmethod
    def _another_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise ValueError("must be another than PORT")
        return port
