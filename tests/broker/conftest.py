from collections.abc import AsyncIterator

import pytest

from tests.broker.kit import Bench, running_broker
from tests.broker.leased import LeasedStore
from tests.broker.nodes import Node, nodes_on


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running_broker() as bench:
        yield bench


@pytest.fixture
def leased() -> LeasedStore:
    return LeasedStore()


@pytest.fixture
async def owners(leased: LeasedStore) -> AsyncIterator[list[Node]]:
    """Two nodes on that store, which need leases and have none yet; both know the topic `t`."""
    async with nodes_on(leased) as made:
        yield made
