from __future__ import annotations

import click
import pytest

from conduit.cli.options import SubOptions
from conduit.cli.template import Template

NOTHING = {
    "pattern": "t",
    "subscription": None,
    "start": None,
    "count": None,
    "timeout_s": None,
    "ack": "auto",
    "create": True,
    "order": None,
    "max_in_flight": None,
    "ack_wait_s": None,
    "max_attempts": None,
    "raw": False,
    "template": None,
    "output": None,
}


def options(**given: object) -> SubOptions:
    return SubOptions(**{**NOTHING, **given})


def test_what_is_not_said_is_left_to_the_server() -> None:
    assert options().settings == {}
    assert options().line is None


def test_settings_are_those_of_the_wire() -> None:
    given = options(order="strict", max_in_flight=3, ack_wait_s=0.5, max_attempts=2)
    assert given.settings == {
        "order": "strict",
        "max_in_flight": 3,
        "ack_wait_ms": 500,
        "max_attempts": 2,
    }


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"count": 3}, {"prefetch": 3}),
        ({"count": 3, "subscription": "billing"}, {"prefetch": 3}),
        ({"count": 10_000}, {"prefetch": 256}),
        ({"count": 3, "max_in_flight": 5}, {"max_in_flight": 5}),
    ],
)
def test_who_wants_few_messages_has_no_more_at_once(
    given: dict[str, object], settings: dict[str, int]
) -> None:
    assert options(**given).settings == settings


@pytest.mark.parametrize(
    "given", [{"raw": True, "output": "json"}, {"raw": True, "template": Template("x")}]
)
def test_there_is_one_way_to_print(given: dict[str, object]) -> None:
    with pytest.raises(click.UsageError, match="choose one"):
        options(**given).check()
