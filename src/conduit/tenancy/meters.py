"""What tenants and keys may use, as far as authentication is concerned: it tells of limits, and hands on who
counts. The counting is the broker's."""

from __future__ import annotations

from typing import Protocol

from conduit.limits import TenantLimits


class Meter(Protocol):
    """What a tenant, or one key of it, may use; see `broker/allowances.py`."""

    @property
    def is_metered(self) -> bool:
        """Whether `admit_publish` may refuse."""

    @property
    def message_max_bytes(self) -> int | None:
        """The largest payload of a message; None: no bound."""

    def admit_publish(self, count: int, size_bytes: int, now: float) -> None:
        """So many messages of so many bytes are about to be published. Raises RateLimited."""

    def check_message(self, size_bytes: int, field: str = "payload") -> None:
        """Raises LimitReached `payload_too_large`."""

    def enter(self) -> None:
        """A WebSocket is opened. Raises LimitReached."""

    def leave(self) -> None:
        """The end of one `enter`."""


class Meters(Protocol):
    """What tenants and keys may use: told of their limits, and asked for their meters."""

    def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        """These hold for the tenant from now on."""

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits) -> None:
        """These hold for the key from now on, beside those of its tenant."""

    def meter(self, tenant: str, key_id: str | None) -> Meter | None:
        """The key's, or else the tenant's."""


class NoMeters:
    """Nobody has limits."""

    def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        """See `Meters`."""

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits) -> None:
        """See `Meters`."""

    def meter(self, tenant: str, key_id: str | None) -> Meter | None:
        """See `Meters`."""
        return None
