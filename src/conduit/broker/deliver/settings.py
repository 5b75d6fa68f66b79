"""The settings of a subscription: their ranges, and what a client gives of them."""

from __future__ import annotations

import msgspec

from conduit.core.message import DURABLE_ACK_WAIT_MS, SubscriptionRecord, SubscriptionSettings
from conduit.errors import Conflict, InvalidRequest
from conduit.protocol.frames import Subscribe

# Ranges of the settings, inclusive.
RANGES = {
    "max_in_flight": (1, 10_000),
    "ack_wait_ms": (10, 3_600_000),
    "max_ack_wait_ms": (10, 3_600_000),
    "max_attempts": (1, 100),
    "max_lost": (1, 1_000),
}
CHOICES = {"ack": ("explicit", "auto"), "order": ("publish", "strict")}
# Those that may be null: without a bound.
UNBOUNDED = frozenset({"max_lost"})

# What a `subscribe` frame may set.
_GIVEN = ("ack", "order", "max_in_flight", "ack_wait_ms", "max_attempts")

EPHEMERAL = SubscriptionSettings()
DURABLE = SubscriptionSettings(ack_wait_ms=DURABLE_ACK_WAIT_MS)
"""What is not given: handlers of a durable subscription may take their time."""


def check_settings(settings: SubscriptionSettings) -> SubscriptionSettings:
    """Return the settings unchanged, or raise InvalidRequest naming the one that is out of range."""
    for field, (low, high) in RANGES.items():
        value = getattr(settings, field)
        if value is None and field in UNBOUNDED:
            continue
        if value is None or not low <= value <= high:
            raise InvalidRequest(f"{field} must be {low} to {high}", field=field)
    for field, choices in CHOICES.items():
        if getattr(settings, field) not in choices:
            raise InvalidRequest(f"{field} must be one of {', '.join(choices)}", field=field)
    return settings


def check_prefetch(count: int | None) -> None:
    """Raise InvalidRequest if a subscriber may not have so many deliveries at once."""
    low, high = RANGES["max_in_flight"]
    if count is not None and not low <= count <= high:
        raise InvalidRequest(f"prefetch must be {low} to {high}", field="prefetch")


def given(frame: Subscribe) -> dict[str, object]:
    """The settings that a `subscribe` frame has."""
    values = {field: getattr(frame, field) for field in _GIVEN}
    settings = {field: value for field, value in values.items() if value is not None}
    if frame.max_lost is not msgspec.UNSET:
        settings["max_lost"] = frame.max_lost
    return settings


def given_settings(frame: Subscribe, *, durable: bool) -> SubscriptionSettings:
    """Them, and the defaults of the others."""
    return msgspec.structs.replace(DURABLE if durable else EPHEMERAL, **given(frame))


def check_agreement(record: SubscriptionRecord, frame: Subscribe) -> None:
    """An existing subscription keeps its settings: a client may repeat them, not change them. Raises Conflict
    `subscription_conflict`."""
    if record.pattern != frame.topic:
        raise Conflict(
            f"subscription {record.name!r} is on {record.pattern!r}",
            code="subscription_conflict",
            field="topic",
        )
    for field, value in given(frame).items():
        if value != getattr(record.settings, field):
            raise Conflict(
                f"subscription {record.name!r} has another {field}",
                code="subscription_conflict",
                field=field,
            )
