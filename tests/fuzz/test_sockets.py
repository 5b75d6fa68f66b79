"""The fuzzer of WebSockets in its short form; `make fuzz` is the long one."""

import asyncio
import secrets

import pytest

from tests.e2e.conftest import STORES
from tests.fuzz.sockets import fuzz
from tests.fuzz.stories import Storyteller
from tests.support.access import Names, guarded_server

COUNT = 500


@pytest.mark.e2e
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_connections_that_do_what_none_should_trouble_nobody(store):
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    with guarded_server(**STORES[store]) as guarded:
        found = asyncio.run(fuzz(guarded, COUNT, seed))
    assert found["connections"] == COUNT
    # They come far enough to do something.
    assert min(found[kind] for kind in ("authenticated", "published", "subscribed", "error")) > 0


def test_a_seed_tells_the_same_stories():
    names = Names(*["x"] * 9)
    one, two = (Storyteller(7, ["ck_live_x_y"], names, names) for _ in range(2))
    assert [one.story() for _ in range(200)] == [two.story() for _ in range(200)]
