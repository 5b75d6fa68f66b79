from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from conduit import grants, limits
from conduit.cli import rights
from conduit.cli.rights import grants_of, parse_expiry, parse_limit, parse_scope, scopes_text
from conduit.grants import Grant
from conduit.limits import TenantLimits

EVERYTHING = (
    "publish",
    "publish:orders.*,logs",
    "subscribe:orders.>@billing,ship.*",
    "subscribe@billing",
    "admin",
)


def test_the_names_are_those_of_the_wire() -> None:
    assert rights.SCOPES == grants.SCOPES
    assert TenantLimits.__struct_fields__ == rights.LIMITS
    assert rights.KEY_LIMITS == limits.KEY_LIMITS


def test_a_scope_has_patterns_of_topics_and_of_subscriptions() -> None:
    assert grants_of(map(parse_scope, EVERYTHING)) == [
        Grant(scope="publish"),
        Grant(scope="publish", topics=("orders.*", "logs")),
        Grant(scope="subscribe", topics=("orders.>",), subscriptions=("billing", "ship.*")),
        Grant(scope="subscribe", subscriptions=("billing",)),
        Grant(scope="admin"),
    ]


def test_what_is_shown_can_be_typed_again() -> None:
    assert scopes_text(grants_of(map(parse_scope, EVERYTHING))) == " ".join(EVERYTHING)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all",
        "publish:",
        "publish:a,,b",
        "publish:a b",
        "publish:a.>.b",
        "subscribe@",
        ":orders",
    ],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"scope|pattern|empty|characters"):
        parse_scope(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("topics=100", ("topics", 100)),
        ("topics=0", ("topics", 0)),
        ("topics=none", ("topics", None)),
        ("stored_bytes=10GiB", ("stored_bytes", 10 << 30)),
        ("publish_bytes_per_s=1.5MB", ("publish_bytes_per_s", 1_500_000)),
    ],
)
def test_a_limit_is_a_number_or_a_size_or_none(text: str, limit: tuple[str, int | None]) -> None:
    assert parse_limit(text, rights.LIMITS) == limit


@pytest.mark.parametrize("text", ["topics", "topics=", "topics=-1", "topics=1GB", "of=1", "=1"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"topics|not"):
        parse_limit(text, rights.LIMITS)


def test_a_limit_of_tenants_is_none_of_keys() -> None:
    with pytest.raises(ValueError, match="publishes_per_s"):
        parse_limit("topics=1", rights.KEY_LIMITS)


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("90d", 90 * 86_400.0),
        ("3600", 3600.0),
        ("none", math.inf),
        ("2027-05-01T12:00:00Z", "2027-05-01T12:00:00.000Z"),
        ("2027-05-01T12:00:00+02:00", "2027-05-01T10:00:00.000Z"),
    ],
)
def test_an_expiry_is_a_duration_or_a_time_or_none(text: str, expiry: float | str) -> None:
    assert parse_expiry(text) == expiry


@pytest.mark.parametrize(
    "text", ["", "soon", "0s", "100ms", "-1h", "2027-05-01", "2027-13-01T00:00Z"]
)
def test_what_is_no_expiry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"'"):
        parse_expiry(text)


def test_a_duration_is_from_now() -> None:
    moment = rights.moment_of(60.0)
    assert moment is not None
    left = datetime.fromisoformat(moment) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    assert rights.moment_of(math.inf) is None
    assert rights.moment_of("2027-05-01T12:00:00.000Z") == "2027-05-01T12:00:00.000Z"
