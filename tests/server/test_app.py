"""What is set reaches what it is about."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from conduit.environment import load_settings
from conduit.limits import TenantLimits
from conduit.server.app import _options
from conduit.settings import Settings

# Bounds of dead letters that housekeeping takes from the limits of each tenant.
BY_TENANT = ("tenant_max_count", "tenants")


def distinct() -> Settings:
    """Settings of which no two numbers are alike, and every switch is another one than by default."""
    settings = load_settings({})
    values: dict[str, object] = {}
    for number, (name, value) in enumerate(settings.model_dump().items(), 1_000_001):
        if isinstance(value, bool):
            values[name] = not value
        elif isinstance(value, int | float):
            values[name] = number
    return settings.model_copy(update=values)


def leaves(options: msgspec.Struct) -> Iterator[tuple[str, object]]:
    """Every option of the broker, by its name."""
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if isinstance(value, msgspec.Struct):
            yield from leaves(value)
        else:
            yield name, value


def test_every_option_of_the_broker_is_what_was_set():
    limits = {name: 2_000_000 + at for at, name in enumerate(TenantLimits.__struct_fields__)}
    text = msgspec.json.encode(limits).decode()
    settings = distinct().model_copy(update={"tenant_limits": text})
    set_by_value = {value: name for name, value in settings.model_dump().items()}
    set_by_value |= {value: name for name, value in limits.items()}
    for name, value in leaves(_options(settings)):
        if name in BY_TENANT:
            continue
        if isinstance(value, bool):
            assert value == getattr(settings, name)
        else:
            ending = "_".join(name.split("_")[-2:])
            assert set_by_value.get(value, "nothing").endswith(ending), name
