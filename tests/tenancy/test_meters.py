from conduit.broker.allowances import Allowances
from conduit.limits import NO_LIMITS, TenantLimits
from conduit.tenancy.meters import Meter, Meters, NoMeters


def test_without_limits_nobody_is_metered():
    meters: Meters = NoMeters()
    meters.set_limits("acme", TenantLimits(topics=1))
    meters.set_key_limits("acme", "a1B2c3D4", TenantLimits(connections=1))
    assert meters.meter("acme", "a1B2c3D4") is None


def test_what_the_broker_counts_with_is_a_meter():
    allowances = Allowances(NO_LIMITS, 0.0)
    allowances.set_key_limits("acme", "a1B2c3D4", TenantLimits(publishes_per_s=1), 0.0)
    for key_id, is_metered in (("a1B2c3D4", True), (None, False)):
        meter: Meter = allowances.meter("acme", key_id)
        assert meter.is_metered is is_metered
        assert meter.message_max_bytes is None
        meter.admit_publish(1, 10, 0.0)
        meter.check_message(10)
        meter.enter()
        meter.leave()
