from collections.abc import AsyncIterator

import pytest

from tests.broker.kit import Bench, running_broker


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running_broker() as bench:
        yield bench
