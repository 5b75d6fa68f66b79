"""What tenants and keys may use: their limits, as authentication knows them, given to the broker."""

from __future__ import annotations

from conduit.broker.broker import Broker
from conduit.limits import TenantLimits
from conduit.tenancy.meters import Meter


class BrokerMeters:
    """See `Meters` in `tenancy/meters.py`."""

    def __init__(self, broker: Broker) -> None:
        self._allowances = broker.allowances
        self._clock = broker.clock

    def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        """See `Meters`."""
        self._allowances.set_limits(tenant, limits, self._clock.now())

    def set_key_limits(self, tenant: str, key_id: str, limits: TenantLimits) -> None:
        """See `Meters`."""
        self._allowances.set_key_limits(tenant, key_id, limits, self._clock.now())

    def meter(self, tenant: str, key_id: str | None) -> Meter:
        """See `Meters`."""
        return self._allowances.meter(tenant, key_id)
