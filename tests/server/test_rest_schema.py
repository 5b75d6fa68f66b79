"""Requests made up from the OpenAPI document, right and wrong ones, against a real server."""

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.http import Api
from tests.support.server import running_server

EXAMPLES_COUNT = 10
# Something to be found, changed and deleted by those requests that guess right.
NAMES = ("0", "a")
# A name that fits the document's grammar is none of these.
NAME_CODES = {"invalid_topic", "invalid_pattern", "invalid_name"}


@pytest.fixture(scope="module")
def server():
    with running_server() as server:
        api = Api(server.url)
        for name in NAMES:
            api.create_topic(name)
            api.post("/api/subscriptions", {"name": name, "topic": name})
            api.publish_many(name, [1, {"a": "b"}, None])
        yield server
        assert server.alive
        assert "Traceback" not in server.log_text(), server.log_tail()


@pytest.mark.e2e
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_the_server_fail_or_break_its_document(server, mode):
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    for found in document.get_all_operations():
        send(found.ok(), mode)


def send(operation, mode):
    @settings(
        max_examples=EXAMPLES_COUNT,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case):
        # What fits by itself may be refused beside something else, or for what it says: a cursor, a key that
        # is in the header as well.
        answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        if mode is GenerationMode.POSITIVE and answer.status_code == 400:
            assert answer.json()["code"] not in NAME_CODES

    # An operation that takes nothing cannot be asked wrongly.
    with contextlib.suppress(Unsatisfiable):
        each()
