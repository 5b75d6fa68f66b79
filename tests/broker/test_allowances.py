import gc

import pytest

from conduit.broker.allowances import Allowances
from conduit.broker.meters import RETRY_AFTER_MAX_S
from conduit.broker.publish.admission import size_of
from conduit.core.message import NewMessage
from conduit.errors import LimitReached, RateLimited
from conduit.limits import NO_LIMITS, TenantLimits
from conduit.protocol.codec import encode_json
from tests.broker.kit import Bench, ManualClock

NOW = 1_000.0


def made(**defaults):
    clock = ManualClock()
    clock.seconds = NOW
    return Allowances(TenantLimits(**defaults), clock)


def refused(meter, count=1, size_bytes=1, now=NOW):
    with pytest.raises(RateLimited) as error:
        meter.admit_publish(count, size_bytes, now)
    return error.value


def test_without_limits_nothing_is_refused_and_nothing_is_asked():
    meter = made().of("a")
    assert not meter.is_metered
    assert meter.message_max_bytes is None
    meter.admit_publish(1 << 40, 1 << 60, NOW)
    meter.check_message(1 << 60)
    for _ in range(1_000):
        meter.enter()


def test_a_rate_of_messages_has_its_name_and_time_in_the_error():
    meter = made(publishes_per_s=2).of("a")
    assert meter.is_metered
    meter.admit_publish(2, 1, NOW)
    error = refused(meter)
    assert (error.limit, error.code, error.retry_after_s) == (
        "publishes_per_s",
        "rate_limited",
        0.5,
    )
    meter.admit_publish(1, 1, NOW + 0.5)


def test_what_one_rate_refuses_is_not_taken_of_the_other():
    meter = made(publishes_per_s=2, publish_bytes_per_s=100).of("a")
    meter.admit_publish(1, 90, NOW)
    for _ in range(10):
        assert refused(meter, 1, 20).limit == "publish_bytes_per_s"
    meter.admit_publish(1, 10, NOW)
    assert refused(meter, 1, 1).limit == "publishes_per_s"


def test_a_batch_that_is_larger_than_one_second_s_worth_comes_when_nothing_was_published_lately():
    meter = made(publishes_per_s=10, publish_bytes_per_s=100).of("a")
    meter.admit_publish(1_000, 100_000, NOW)
    assert refused(meter, now=NOW + 1).retry_after_s == pytest.approx(98.1)


def test_who_may_publish_nothing_is_told_to_come_late():
    assert refused(made(publishes_per_s=0).of("a")).retry_after_s == RETRY_AFTER_MAX_S


def test_limits_of_a_tenant_go_before_the_default_ones_each_by_itself():
    allowances = made(topics=5, publishes_per_s=1)
    allowances.set_limits("a", TenantLimits(topics=7, message_bytes=10))
    assert allowances.of("a").limits == TenantLimits(topics=7, publishes_per_s=1, message_bytes=10)
    assert allowances.of("b").limits == TenantLimits(topics=5, publishes_per_s=1)
    held = allowances.of("a")
    allowances.set_limits("a", NO_LIMITS)
    assert held.limits == TenantLimits(topics=5, publishes_per_s=1)
    assert held.message_max_bytes is None


def test_the_same_limits_again_fill_no_bucket():
    allowances = made()
    for _ in range(3):
        allowances.set_limits("a", TenantLimits(publishes_per_s=1, topics=1))
    meter = allowances.of("a")
    meter.admit_publish(1, 1, NOW)
    allowances.set_limits("a", TenantLimits(publishes_per_s=1, topics=2))
    refused(meter)
    allowances.set_limits("a", TenantLimits(publishes_per_s=2, topics=2))
    meter.admit_publish(2, 1, NOW)


def test_a_key_counts_for_itself_and_for_its_tenant():
    allowances = made(publishes_per_s=3)
    allowances.set_key_limits("a", "key1", TenantLimits(publishes_per_s=2, message_bytes=5))
    key, tenant = allowances.meter("a", "key1"), allowances.of("a")
    assert allowances.meter("a", "key2") is tenant
    assert allowances.meter("a") is tenant
    assert key.is_metered
    assert key.message_max_bytes == 5
    key.admit_publish(2, 1, NOW)
    assert "this key" in refused(key).detail
    tenant.admit_publish(1, 1, NOW)
    refused(tenant)
    with pytest.raises(LimitReached) as too_large:
        key.check_message(6, "messages[2].payload")
    assert (too_large.value.limit, too_large.value.code, too_large.value.field) == (
        "message_bytes",
        "payload_too_large",
        "messages[2].payload",
    )


def test_what_the_tenant_refuses_is_not_taken_of_the_key():
    allowances = made(publishes_per_s=1, publish_bytes_per_s=1_000)
    allowances.set_key_limits("a", "key1", TenantLimits(publishes_per_s=4, publish_bytes_per_s=10))
    key = allowances.meter("a", "key1")
    key.admit_publish(1, 1, NOW)
    for _ in range(20):
        assert "this tenant" in refused(key).detail
    allowances.set_limits("a", TenantLimits(publishes_per_s=100))
    key.admit_publish(3, 9, NOW)


def test_connections_of_a_key_and_of_its_tenant_are_bounded():
    allowances = made(connections=3)
    allowances.set_key_limits("a", "key1", TenantLimits(connections=2))
    key, tenant = allowances.meter("a", "key1"), allowances.of("a")
    key.enter()
    key.enter()
    with pytest.raises(LimitReached) as full:
        key.enter()
    assert full.value.limit == "connections"
    assert "this key" in full.value.detail
    tenant.enter()
    key.leave()
    # The key has room, and the tenant has some now.
    key.enter()
    key.leave()
    tenant.enter()
    with pytest.raises(LimitReached) as full:
        key.enter()
    assert "this tenant" in full.value.detail
    tenant.leave()
    # What the tenant refused does not count for the key.
    key.enter()


def test_a_key_that_is_gone_and_tenants_without_anything_are_forgotten():
    allowances = made(publishes_per_s=1)
    allowances.set_key_limits("a", "key1", TenantLimits(connections=2))
    allowances.set_key_limits("a", "key1", NO_LIMITS)
    allowances.set_limits("b", TenantLimits(topics=1))
    allowances.set_limits("b", NO_LIMITS)
    for number in range(1_000):
        allowances.of(f"tenant-{number}").admit_publish(1, 1, NOW)
    gc.collect()
    assert (len(allowances._by_tenant), len(allowances._own), len(allowances._keys)) == (0, 0, 0)


def test_the_size_of_a_request_is_that_of_the_message_as_it_is_stored():
    request = Bench.request("t", "ü", key="kéy", headers={"a": "ö", "b": "2"})
    assert request.headers is not None
    headers = encode_json(request.headers)
    message = NewMessage(1, "id", bytes(request.payload), key="kéy", headers=headers)
    assert size_of(request) == message.size_bytes
    assert size_of(Bench.request("t", 1)) == 1
