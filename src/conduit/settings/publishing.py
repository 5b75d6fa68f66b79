"""What may be published, and how long that may take."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from conduit.settings.types import Bytes, Count, Group, Seconds, variable


class Publishing(Group):
    """Bounds of publishes."""

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
        "beyond it the tenant that has the most, and of its topics the one with the most, forgets its oldest "
        "early.",
        le=10_000_000,
    )

    @field_validator("max_batch_bytes")
    @classmethod
    def _batch_holds_a_message(cls, size: int, info: ValidationInfo) -> int:
        payload = info.data.get("max_payload_bytes", 0)
        if size < payload:
            raise ValueError(f"must be at least {variable('max_payload_bytes')} ({payload})")
        return size
