"""What one tenant, or one key, may use at most: the same record on the wire, in the store and in memory."""

from __future__ import annotations

import msgspec

from conduit.errors import InvalidRequest

# What SQLite and JSON clients hold exactly.
LIMIT_MAX = 1 << 53


class TenantLimits(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Each bound has a name, which is the `limit` of the error that it causes. None: no bound.

    Rates are means: for a second's worth at once, and then evenly.
    """

    publishes_per_s: int | None = None
    """Messages; one of a batch counts as one."""
    publish_bytes_per_s: int | None = None
    """Of their payloads, keys and headers."""
    deliveries_per_s: int | None = None
    """Beyond it deliveries wait; none is lost."""
    connections: int | None = None
    """Open WebSockets."""
    subscriptions: int | None = None
    """Durable ones."""
    topics: int | None = None
    stored_bytes: int | None = None
    """Of the messages in the log, as `stored_bytes` of topics."""
    message_bytes: int | None = None
    """Of one payload."""
    dead_letters: int | None = None
    """Beyond it the oldest go."""
    pending_retries: int | None = None
    """Deliveries that wait for their next attempt. Beyond it subscriptions that have some get nothing new."""

    def narrowed(self, other: TenantLimits) -> TenantLimits:
        """Of each bound the lower one."""
        both = {
            name: [
                value for value in (getattr(self, name), getattr(other, name)) if value is not None
            ]
            for name in self.__struct_fields__
        }
        return TenantLimits(**{name: min(values) for name, values in both.items() if values})


# Those that count for one key as well.
KEY_LIMITS = ("publishes_per_s", "publish_bytes_per_s", "connections", "message_bytes")
NO_LIMITS = TenantLimits()


def read_limits(text: str) -> TenantLimits:
    """Limits of a tenant from JSON. Raises ValueError with what is wrong with it."""
    try:
        limits = msgspec.json.decode(text, type=TenantLimits)
        check_limits(limits)
    except msgspec.DecodeError as error:
        raise ValueError(
            f"must be a JSON object with names of limits and numbers: {error}"
        ) from None
    except InvalidRequest as error:
        raise ValueError(error.detail) from None
    return limits


def checked_limits(text: str) -> str:
    """The same text. Raises what `read_limits` does."""
    read_limits(text)
    return text


def check_limits(limits: TenantLimits, field: str = "limits", *, of_key: bool = False) -> None:
    """Raise InvalidRequest for a bound out of range, or one that is not for keys."""
    for name in TenantLimits.__struct_fields__:
        value: int | None = getattr(limits, name)
        if value is None:
            continue
        if not 0 <= value <= LIMIT_MAX:
            raise InvalidRequest(
                f"{field}.{name} must be 0 to {LIMIT_MAX}, or null for no bound",
                field=f"{field}.{name}",
            )
        if of_key and name not in KEY_LIMITS:
            raise InvalidRequest(
                f"{name} is a limit of tenants, not of keys", field=f"{field}.{name}"
            )
