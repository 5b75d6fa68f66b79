"""Servers without a database that are started with one name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http import Api
from tests.support.nodes import SECRET, has_link
from tests.support.redis import RedisServer
from tests.support.server import ServerError, free_port, running_server
from tests.support.wait import until

STORES = ["memory"]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def settings(redis: RedisServer, name: str) -> dict[str, str]:
    port = free_port()
    return {
        "PORT": str(port),
        "REDIS_URL": redis.url,
        "NODE_ID": name,
        "NODE_ADDR": f"127.0.0.1:{port}",
        "INTERNAL_SECRET": SECRET,
    }


def test_a_second_one_does_not_start_and_the_first_one_stays_linked(redis):
    with (
        running_server(**settings(redis, "a")) as one,
        running_server(**settings(redis, "b")) as two,
    ):
        api = Api(two.url)
        until(lambda: has_link(api))
        incarnation = api.get("/api/nodes/a").json["incarnation"]
        with (
            pytest.raises(ServerError) as caught,
            running_server(**settings(redis, "a")),
        ):
            pass
        said = str(caught.value)
        assert "NODE_ID: a is the name of another node, at 127.0.0.1:" in said
        assert "listens on" not in said
        assert has_link(api)
        assert api.get("/api/nodes/a").json["incarnation"] == incarnation
        # One that was killed, or has stopped, is no hindrance to the next.
        one.kill()
        one.start()
        one.terminate()
        one.start()
        until(lambda: api.get("/api/nodes/a").json.get("incarnation", incarnation) != incarnation)
