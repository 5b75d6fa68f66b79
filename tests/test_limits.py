import pytest

from conduit.errors import InvalidRequest
from conduit.limits import KEY_LIMITS, LIMIT_MAX, NO_LIMITS, TenantLimits, check_limits


def test_no_limits_and_those_in_range_are_taken():
    check_limits(NO_LIMITS)
    check_limits(TenantLimits(**dict.fromkeys(TenantLimits.__struct_fields__, 0)))
    check_limits(TenantLimits(stored_bytes=LIMIT_MAX))
    check_limits(TenantLimits(**dict.fromkeys(KEY_LIMITS, 1)), of_key=True)


@pytest.mark.parametrize("value", [-1, LIMIT_MAX + 1])
def test_a_limit_out_of_range_is_refused_by_name(value):
    with pytest.raises(InvalidRequest) as refused:
        check_limits(TenantLimits(topics=value))
    assert refused.value.field == "limits.topics"


@pytest.mark.parametrize(
    "name", [name for name in TenantLimits.__struct_fields__ if name not in KEY_LIMITS]
)
def test_what_bounds_a_tenant_is_no_limit_of_a_key(name):
    with pytest.raises(InvalidRequest) as refused:
        check_limits(TenantLimits(**{name: 1}), of_key=True)
    assert refused.value.field == f"limits.{name}"
