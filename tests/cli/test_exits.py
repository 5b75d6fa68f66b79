from __future__ import annotations

import pytest

from conduit.cli.exits import Exit, describe, exit_for
from conduit.client import ApiError, ConnectionFailed, NoToken
from conduit.errors import ConduitError, ConfigError, InvalidRequest
from conduit.protocol.codes import CODES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionFailed("no"), Exit.NO_CONNECTION),
        (ConnectionFailed("no", code="tls_failed"), Exit.NO_CONNECTION),
        (ConnectionFailed("no", code="certificate_verify_failed"), Exit.NO_CONNECTION),
        (ConfigError(["a", "b"]), Exit.USAGE),
        (InvalidRequest("no", code="invalid_topic"), Exit.USAGE),
        (InvalidRequest("no", code="not_json"), Exit.USAGE),
        (ApiError("no", code="topic_not_found", status=404), Exit.NOT_FOUND),
        (ApiError("no", code="of_tomorrow", status=403), Exit.AUTH),
        (ApiError("no", code="unauthenticated", status=401), Exit.AUTH),
        (ApiError("no", code="limit_reached", status=403), Exit.LIMIT),
        (NoToken("no"), Exit.AUTH),
        (ApiError("no", code="topic_exists"), Exit.CONFLICT),
        (ApiError("no", code="overloaded", status=503), Exit.LIMIT),
        (ApiError("no", code="internal", status=500), Exit.ERROR),
    ],
)
def test_an_error_leads_to_the_exit_code_of_its_kind(error: ConduitError, code: Exit) -> None:
    assert exit_for(error) is code


def test_every_code_of_the_protocol_has_an_exit_code_that_is_not_success() -> None:
    assert all(exit_for(ApiError("", code=code)) > 0 for code in CODES)


def test_an_error_is_one_line_with_its_code_and_a_hint_where_there_is_one() -> None:
    lines = describe(ApiError("topic 'x' does not exist", code="topic_not_found"))
    assert lines[0] == "error: topic 'x' does not exist (code topic_not_found)"
    assert "conduit topic ls" in lines[1]
    assert len(describe(ApiError("no", code="internal"))) == 1


def test_the_limit_that_was_reached_is_named() -> None:
    error = ApiError("too many topics", code="limit_reached")
    error.limit = "topics"
    assert describe(error) == ["error: too many topics (code limit_reached, limit topics)"]


def test_of_a_server_that_runs_nobody_asks_whether_it_does() -> None:
    for code in ("tls_failed", "certificate_verify_failed"):
        lines = describe(ConnectionFailed("no", code=code))
        assert len(lines) == 2
        assert "conduit serve" not in lines[1]


def test_problems_of_the_settings_are_one_line_each() -> None:
    assert describe(ConfigError(["PORT is bad.", "HOST is bad."])) == [
        "error: PORT is bad.",
        "error: HOST is bad.",
    ]
