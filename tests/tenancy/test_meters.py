from conduit.limits import TenantLimits
from conduit.tenancy.meters import Meters, NoMeters
from tests.broker.kit import running_broker


def test_without_limits_nobody_is_metered():
    meters: Meters = NoMeters()
    meters.set_limits("acme", TenantLimits(topics=1))
    meters.set_key_limits("acme", "a1B2c3D4", TenantLimits(connections=1))
    assert meters.meter("acme", "a1B2c3D4") is None


async def test_what_the_broker_counts_with_is_a_meter():
    async with running_broker() as bench:
        meters: Meters = bench.broker.allowances
        meters.set_key_limits("acme", "a1B2c3D4", TenantLimits(publishes_per_s=1))
        for key_id, is_metered in (("a1B2c3D4", True), (None, False)):
            meter = meters.meter("acme", key_id)
            assert meter is not None
            assert meter.is_metered is is_metered
            assert meter.message_max_bytes is None
            meter.admit_publish(1, 10, bench.broker.clock.now())
            meter.check_message(10)
            meter.enter()
            meter.leave()
