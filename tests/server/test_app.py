"""What is set reaches what it is about."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from conduit.environment import load_settings
from conduit.limits import TenantLimits, read_limits
from conduit.server.app import _options
from conduit.settings import Settings


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
        if isinstance(value, TenantLimits):
            assert value == read_limits(distinct().tenant_limits)
        elif isinstance(value, msgspec.Struct):
            yield from leaves(value)
        else:
            yield name, value


def test_every_option_of_the_broker_is_what_was_set():
    settings = distinct()
    set_by_value = {value: name for name, value in settings.model_dump().items()}
    for name, value in leaves(_options(settings)):
        if name in ("tenant_max_count", "tenants"):
            # Of each tenant another one.
            continue
        if isinstance(value, bool):
            assert value == getattr(settings, name)
        else:
            ending = "_".join(name.split("_")[-2:])
            assert set_by_value.get(value, "nothing").endswith(ending), name
