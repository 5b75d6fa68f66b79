"""Fewer files than connections may be: the bound is then what the files allow."""

import resource

import pytest

from conduit.server.entrance import SPARE_MAX_COUNT
from conduit.server.files import Files, divide, needed
from tests.support.raw import RawHttp
from tests.support.server import running_server

FILES_COUNT = 150


@pytest.mark.parametrize("database_count", [0, 1, 64])
def test_with_files_enough_the_bound_is_what_is_set(database_count):
    allowed_count = needed(20_000, database_count)
    assert divide(allowed_count, 20_000, database_count) == Files(20_000, SPARE_MAX_COUNT)
    assert divide(allowed_count - 1, 20_000, database_count).connection_count < 20_000


@pytest.mark.parametrize("allowed_count", [1, 20, 64, 100, 150, 256, 1_024, 4_096, 65_536])
@pytest.mark.parametrize("database_count", [0, 2, 64])
def test_connections_leave_files_for_the_others(allowed_count, database_count):
    files = divide(allowed_count, 1_000_000, database_count)
    assert files.connection_count >= 1
    assert files.spare_count >= 1
    if allowed_count > 1:
        assert sum(files) <= allowed_count - min(64, allowed_count // 4)


def test_a_low_bound_of_connections_is_kept_although_there_are_few_files():
    assert divide(200, 5, 0).connection_count == 5


def hello(port: int) -> RawHttp:
    """A connection that has begun what it does not end."""
    client = RawHttp(port)
    client.send(b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n{")
    return client


@pytest.mark.e2e
def test_a_server_with_few_files_says_so_and_answers_probes_when_it_has_as_many_as_it_may():
    limit = (FILES_COUNT, FILES_COUNT)
    with running_server(
        preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
        DATABASE_URL="sqlite:///conduit.db",
    ) as server:
        bound = divide(FILES_COUNT, 20_000, 0).connection_count
        told = f"allows {FILES_COUNT} open files: the bound is {bound} connections"
        server.logged(told)
        clients = [hello(server.port) for _ in range(bound)]
        for _ in range(3):
            probe = RawHttp(server.port)
            probe.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert probe.answer()[0] == 200
            probe.close()
        late = hello(server.port)
        late.send(b'"' * 399)
        assert late.answer()[0] == 503
        for client in (*clients, late):
            client.close()
