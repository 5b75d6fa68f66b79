"""Requests made up from the OpenAPI document, right and wrong ones, against a real server, with and without
authentication. `make fuzz` makes up more."""

import pytest

from tests.fuzz.requests import MODES, callers, furnish, operations, send
from tests.support.access import guarded_server
from tests.support.http import Api
from tests.support.server import running_server

EXAMPLES_COUNT = 6
GUARDED_EXAMPLES_COUNT = 2


@pytest.fixture(scope="module")
def server():
    with running_server() as server:
        furnish(Api(server.url))
        yield server
        assert server.alive
        assert "Traceback" not in server.log_text(), server.log_tail()


@pytest.mark.e2e
@pytest.mark.parametrize("mode", MODES)
def test_no_request_makes_the_server_fail_or_break_its_document(server, mode):
    for operation in operations(server.url):
        send(operation, mode, count=EXAMPLES_COUNT)


@pytest.fixture(scope="module")
def asking():
    """The URL of a server with authentication, and who asks there."""
    with guarded_server() as guarded:
        yield guarded.server.url, callers(guarded)


@pytest.mark.e2e
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("caller", ["all rights", "few rights", "operator", "nobody"])
def test_nor_does_one_where_there_is_authentication(asking, caller, mode):
    url, headers = asking
    for operation in operations(url, headers[caller]):
        tally = send(operation, mode, count=GUARDED_EXAMPLES_COUNT, headers=headers[caller])
        if caller == "nobody" and operation.path.startswith("/api/"):
            assert set(tally) <= {401}
