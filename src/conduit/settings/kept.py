"""What is kept, and for how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from conduit.limits import checked_limits
from conduit.settings.types import Bound, Bytes, Count, Group, Seconds


class Kept(Group):
    """Bounds of the log, and of what is in memory of it."""

    allow_unsafe_database: bool = Field(
        False,
        description="Start although PostgreSQL runs with `fsync`, `full_page_writes` or "
        "`synchronous_commit` off. Receipts then say `durable: false`.",
    )
    max_topics: Count = Field(100_000, description="Most topics, of all tenants.")
    max_subscriptions: Count = Field(
        100_000, description="Most durable subscriptions, of all tenants."
    )
    tenant_limits: Annotated[str, AfterValidator(checked_limits)] = Field(
        "{}",
        description='Limits of each tenant, where it has none of its own, as JSON: `{"topics": 1000}`. '
        "See `docs/limits.md`.",
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
