import inspect
import re

import pytest

from conduit import errors
from conduit.errors import (
    ConduitError,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    RequestError,
    StateError,
    StoreUnavailable,
    Unavailable,
)

CLASSES = {
    name: one
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if one.__module__ == errors.__name__
}


def test_all_are_conduit_errors_so_that_one_clause_catches_them():
    assert all(issubclass(one, ConduitError) for one in CLASSES.values())


def test_the_tree_in_the_docstring_is_the_tree_as_it_is():
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+Error|[A-Z]\w+)(?:  |$)", line):
            depth = len(found["branch"]) // 3
            path[depth:] = [found["name"]]
            drawn[found["name"]] = path[depth - 1] if depth else "Exception"

    assert drawn == {name: one.__base__.__name__ for name, one in CLASSES.items()}


def test_an_error_has_its_classs_code_unless_it_says_another():
    assert NotFound("gone").code == "not_found"
    assert NotFound("gone", code="topic_not_found").code == "topic_not_found"
    assert NotFound("gone").code == "not_found"


def test_an_error_says_what_happened_and_to_which_field():
    error = InvalidRequest("topic is empty", code="invalid_topic", field="topic")

    assert (str(error), error.detail, error.field) == ("topic is empty", "topic is empty", "topic")
    assert Conflict("exists").field is None


def test_refusals_and_outages_are_told_apart():
    assert not issubclass(Unavailable, RequestError)
    assert not issubclass(StateError, RequestError)
    assert issubclass(Overloaded, Unavailable)


def test_an_outage_says_when_to_come_back():
    assert StoreUnavailable("disk").retry_after_s == 1.0
    assert Overloaded("queue", code="shutting_down", retry_after_s=5.0).retry_after_s == 5.0


def test_a_config_error_lists_every_problem():
    error = ConfigError(["PORT is not a number", "NODE_ID is empty"])

    assert error.problems == ("PORT is not a number", "NODE_ID is empty")
    assert all(problem in error.detail for problem in error.problems)


@pytest.mark.parametrize("name", CLASSES)
def test_every_code_is_stable_text(name):
    assert re.fullmatch(r"[a-z_]+", CLASSES[name].code)


def test_a_bug_of_ours_is_internal_to_peers():
    assert StateError("runs out of order").code == "internal"


def test_a_peer_does_not_read_where_the_store_is():
    error = StoreUnavailable.at("db.internal:5432/events", "the connection failed")
    assert str(error) == error.detail == "db.internal:5432/events: the connection failed"
    assert error.told == "the connection failed"
    assert StoreUnavailable("the disk is full").told == "the disk is full"
