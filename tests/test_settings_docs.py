"""What docs/configuration.md says of settings and time limits is as they are."""

import re
from pathlib import Path

import pytest

from conduit.broker import changes
from conduit.broker.attach import connection
from conduit.client import rest
from conduit.environment import described, load_settings
from conduit.errors import ConfigError
from conduit.server.rest import edge
from conduit.settings import Settings

DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"


def test_durations_of_whole_seconds_are_named():
    settings = load_settings({})
    whole = {
        field.alias
        for name, field in Settings.model_fields.items()
        if re.search("(?<!_per)_s$", name) and isinstance(getattr(settings, name), int)
    }
    text = DOCS.read_text()
    (said,) = re.findall(r"may have a fraction, but for (.*?), which are whole seconds", text)
    assert set(re.findall(r"`(\w+)`", said)) == whole


def test_the_documentation_lists_every_variable_with_its_default_and_description():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    # In words if there is no value.
    expected = [
        (
            each.name,
            each.default if each.default in ("none", "hostname") else f"`{each.default}`",
            each.about,
        )
        for each in described()
    ]
    assert sorted(rows) == sorted(expected)


def test_the_time_limits_that_cannot_be_set_are_documented_as_they_are():
    rows = re.findall(r"^\| `([A-Z_]+_TIMEOUT_S)`, (\d+) s \|", DOCS.read_text(), re.MULTILINE)
    assert {name: float(value) for name, value in rows} == {
        "CHANGE_TIMEOUT_S": changes.CHANGE_TIMEOUT_S,
        "SUBSCRIBE_TIMEOUT_S": connection.SUBSCRIBE_TIMEOUT_S,
        "ANSWER_TIMEOUT_S": edge.ANSWER_TIMEOUT_S,
    }
    assert rest.ANSWER_TIMEOUT_S == 30


def test_what_is_said_to_be_refused_or_to_do_nothing_is():
    """As docs/configuration.md has it."""
    text = " ".join(DOCS.read_text().split())
    secret, redis = {"INTERNAL_SECRET": "another-secret-of-nodes"}, {"REDIS_URL": "redis://x"}
    assert "| SQLite | `REDIS_URL` | refused:" in text
    with pytest.raises(ConfigError):
        load_settings({"DATABASE_URL": "sqlite:///x.db"} | secret | redis)
    assert "unset (memory) | `INTERNAL_SECRET` and `REDIS_URL` | nodes" in text
    assert load_settings(secret | redis).warnings == ()
    assert "has 16 characters or more of printable ASCII, or it is refused" in text
    with pytest.raises(ConfigError):
        load_settings({"INTERNAL_SECRET": "x" * 15})
    idle = ("INTERNAL_SECRET", "DEFAULT_API_KEY", "CONDUIT_JWKS_URL")
    assert "without `ENABLE_AUTH` that is `DEFAULT_API_KEY` and `CONDUIT_JWKS_URL`" in text
    others = {"CONDUIT_JWT_ISSUER": "x", "CONDUIT_JWT_AUDIENCE": "x"}
    given = dict.fromkeys(idle, "https://id.example/x")
    said = load_settings(given | others).warnings
    assert [line.split()[0] for line in said] == list(idle)
