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
    ("given", "window"),
    [
        ({"count": 3}, 3),
        ({"count": 10_000}, 256),
        ({"count": 3, "max_in_flight": 5}, 5),
        ({"count": 3, "subscription": "billing"}, None),
    ],
)
def test_who_wants_few_messages_is_not_sent_more(
    given: dict[str, object], window: int | None
) -> None:
    """But for a durable subscription, which would keep that window for all who come later."""
    assert options(**given).settings.get("max_in_flight") == window


@pytest.mark.parametrize(
    "given", [{"raw": True, "output": "json"}, {"raw": True, "template": Template("x")}]
)
def test_there_is_one_way_to_print(given: dict[str, object]) -> None:
    with pytest.raises(click.UsageError, match="choose one"):
        options(**given).check()
