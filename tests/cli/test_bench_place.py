"""Where `conduit bench` goes without being allowed to: to an address of this machine."""

from __future__ import annotations

import click
import pytest

from conduit.cli.bench.place import target
from conduit.cli.server import Target


def told(url: str) -> Target:
    return Target(url=url, api_key="k", tenant=None)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.evil.example",
        "http://127.evil.example:8080",
        "http://localhost.evil.example",
        "http://10.0.0.1:8080",
        "http://[2001:db8::1]:8080",
        "http://0.0.0.0:8080",
    ],
)
def test_a_name_or_an_address_of_elsewhere_needs_to_be_allowed(url: str):
    with pytest.raises(click.UsageError, match="--allow-remote"):
        target(told(url), allow_remote=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://127.3.2.1", "http://LOCALHOST:1", "http://[::1]:8080"]
)
def test_an_address_of_this_machine_needs_nothing(url: str):
    assert target(told(url), allow_remote=False).headers == "Authorization: Bearer k\r\n"
