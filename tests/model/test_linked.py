"""The third form, short: two linked nodes, with Redis and without, and the model of one Conduit.

In one run a node is killed and comes again, in the other one stands still, and the link breaks.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.model.choices import Dice
from tests.model.linked.nodes import pair
from tests.model.linked.runs import disturbances, plan, run
from tests.model.linked.steps import Begin, Cut, Kill, Stand, Stop
from tests.model.steps.base import Step
from tests.support.redis import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STEPS_COUNT = 40
DISTURBING: dict[int, list[Step]] = {0: [Kill(1), Begin()], 1: [Stand(0), Cut()]}


@pytest.fixture(params=[0, 1], ids=["alone", "redis"])
def seed(request) -> int:
    return request.param


@pytest.fixture
def settings(seed) -> Iterator[dict[str, str]]:
    if seed != 1:
        yield {}
        return
    redis = RedisServer()
    try:
        redis.start()
        yield {"REDIS_URL": redis.url}
    finally:
        redis.remove()


def test_two_nodes_keep_the_promises_of_one_whatever_happens_to_either(cluster, settings, seed):
    steps = plan(Dice(seed), STEPS_COUNT, DISTURBING[seed])
    with pair(cluster.empty_database("model"), **settings) as nodes:
        run(nodes, steps)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_down_comes_again_before_anything_else_happens(seed):
    found = disturbances(Dice(seed), 20)
    assert len(found) == 20
    for one, following in pairwise(found):
        assert isinstance(one, Kill | Stop) == isinstance(following, Begin)
