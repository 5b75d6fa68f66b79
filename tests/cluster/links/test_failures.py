import pytest

from conduit.cluster.links.failures import error_of, failure_of
from conduit.cluster.links.frames import TEXT_MAX_CHARS, Failure, decode, encode, message
from conduit.errors import (
    ConduitError,
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    RequestError,
    StateError,
    StoreUnavailable,
    Unauthenticated,
    Unavailable,
)
from conduit.protocol.codes import CODES


def over(error: ConduitError) -> ConduitError:
    """What the other node raises."""
    (failure,) = decode(message([encode(failure_of(1, error))]))
    assert isinstance(failure, Failure)
    return error_of(failure)


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("no", field="topic"),
        InvalidRequest("no", code="invalid_topic"),
        Unauthenticated("no"),
        Forbidden("no"),
        NotFound("no", code="topic_not_found"),
        Conflict("no", code="subscription_conflict"),
        LimitReached("no", limit="CONDUIT_MAX_TOPICS"),
        LimitReached("no", code="payload_too_large"),
        Unavailable("no", retry_after_s=7.0),
        Unavailable("no", code="shutting_down"),
        Overloaded("no", retry_after_s=2.0),
        StoreUnavailable("no"),
        OutcomeUnknown("no"),
        RateLimited("no", limit="publishes", retry_after_s=0.5),
        RequestError("no", code="unsupported_media_type"),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.code}",
)
def test_the_asker_gets_the_same_error(error):
    got = over(error)
    assert type(got) is type(error)
    assert {**vars(got), "code": got.code} == {**vars(error), "code": error.code}
    assert str(got) == str(error)


def test_every_code_becomes_an_error_that_has_it():
    for code in CODES:
        got = error_of(Failure(1, code, "no"))
        assert got.code == code or isinstance(got, StateError), code


def test_of_a_bug_the_asker_learns_nothing():
    got = over(StateError("a secret of ours"))
    assert isinstance(got, StateError)
    assert "secret" not in str(got)


def test_the_place_of_a_store_stays_here():
    assert str(over(StoreUnavailable.at("db.internal:5432", "it is full"))) == "it is full"


def test_a_code_of_a_newer_node_is_one_that_this_one_knows():
    got = error_of(Failure(1, "moon_is_full", "wait"))
    assert isinstance(got, Unavailable)
    assert got.code in CODES
    assert "moon_is_full" in str(got)


def test_a_long_text_is_cut():
    assert len(str(over(Conflict("x" * 10_000)))) == TEXT_MAX_CHARS
