"""Whether traces of messages are recorded, and how many. OpenTelemetry's variables say where they go."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from conduit.settings.types import Count, Group


class Tracing(Group):
    """Traces."""

    traces: Literal["off", "otlp"] = Field(
        "off",
        description="`otlp` records traces of messages and sends them by OTLP over HTTP, which takes "
        "`pip install 'conduit-events[otel]'`. `off` costs nothing.",
    )
    traces_max_spans_per_s: Count = Field(
        1_000,
        description="Spans of one tenant that are recorded in a second; of all tenants together four times "
        "as many. What is more is dropped and counted.",
        le=1_000_000,
    )
    otlp_headers: SecretStr | None = Field(
        None,
        description="Headers for the collector, an API key for example: `name=value`, separated by commas.",
        alias="OTEL_EXPORTER_OTLP_HEADERS",
    )
    otlp_traces_headers: SecretStr | None = Field(
        None,
        description="The same for traces alone.",
        alias="OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    )
