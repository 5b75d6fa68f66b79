"""Servers of Redis and Valkey, whichever are installed."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop

from tests.support import redis
from tests.support.redis import RedisServer


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # As the server.
    return {"uvloop": uvloop.new_event_loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in ("redis_server", "own_redis"):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, redis.installed(), indirect=True)


@pytest.fixture(scope="session")
def redis_server(request) -> Iterator[RedisServer]:
    """One for all tests of the session: each has a cluster of its own there."""
    made = RedisServer(program=request.param)
    made.start()
    yield made
    made.remove()


@pytest.fixture
def own_redis(request) -> Iterator[RedisServer]:
    """One that the test may stop, flush and kill."""
    made = RedisServer(program=request.param)
    made.start()
    yield made
    made.remove()
