"""The third form, short: two linked nodes, with Redis and without, and the model of one Conduit."""

import pytest

from tests.model.choices import Dice
from tests.model.linked.nodes import pair
from tests.model.linked.runs import plan, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STEPS_COUNT = 60
DISTURBING_MAX_COUNT = 2


@pytest.fixture
def settings(request, redis_server):
    return {"REDIS_URL": redis_server.url} if request.param else {}


@pytest.mark.parametrize(
    ("settings", "seed"), [(False, 0), (True, 1)], indirect=["settings"], ids=["alone", "redis"]
)
def test_two_nodes_keep_the_promises_of_one_whatever_happens_to_either(cluster, settings, seed):
    steps = plan(Dice(seed), STEPS_COUNT, DISTURBING_MAX_COUNT)
    with pair(cluster.empty_database("model"), **settings) as nodes:
        run(nodes, steps)
