"""The second form, short: a real server on each store, and the model of it."""

import pytest

from tests.model.choices import Dice
from tests.model.served.runs import plan, run
from tests.support.server import running_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

STEPS_COUNT = 60
RESTARTS_MAX_COUNT = 3


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request):
    return request.param


@pytest.fixture
def settings(store, request):
    if store == "memory":
        return {}
    if store == "sqlite":
        return {"DATABASE_URL": "sqlite:///model.db"}
    return {"DATABASE_URL": request.getfixturevalue("cluster").empty_database("model")}


@pytest.mark.parametrize("seed", range(2))
def test_a_real_server_keeps_its_promises_whatever_happens_to_it(store, settings, seed):
    steps = plan(Dice(seed), STEPS_COUNT, RESTARTS_MAX_COUNT)
    with running_server(**settings) as server:
        run(server, steps, is_durable=store != "memory")
