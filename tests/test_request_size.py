"""How large one request may be, and what may not be less than that."""

from pathlib import Path

import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError
from conduit.server.context import Limits

DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"


def problems(**environ):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    return caught.value.problems


@pytest.mark.parametrize(
    "name", ["CONDUIT_CONNECTION_MEMORY_MAX_BYTES", "CONDUIT_MAX_BYTES_PER_CONNECTION"]
)
def test_a_bound_of_memory_that_one_request_could_pass_is_refused_and_not_raised(name):
    least = Limits().max_request_bytes
    assert f"{least} bytes by default" in DOCS.read_text()
    load_settings({name: str(least)})
    (sentence,) = problems(**{name: str(least - 1)})
    assert sentence.startswith(f"{name} is {least - 1}: it must be at least {least}")
    smaller = {"CONDUIT_MAX_BATCH_BYTES": "1000000", "CONDUIT_MAX_PAYLOAD_BYTES": "1000000"}
    least = 1_000_000 + 65_536 + 16_384 + 262_144
    load_settings({name: str(least), **smaller})
    assert problems(**{name: str(least - 1), **smaller})
    assert len(problems(**{name: str(least), "CONDUIT_MAX_BATCH_BYTES": "x"})) == 1
