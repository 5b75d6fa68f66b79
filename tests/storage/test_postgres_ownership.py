"""What a node has in PostgreSQL and does not run is given up (broker/deliver/ownership.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import uuid_utils

from conduit.broker.deliver.ownership import Ownership
from conduit.broker.deliver.running import Running
from conduit.broker.waiting import Deadline
from tests.storage import given
from tests.storage.postgres_kit import opened
from tests.support.wait import DEADLINE_S

pytestmark = pytest.mark.process


class Nothing:
    """Nothing runs."""

    def running(self) -> Sequence[Running]:
        return []

    def is_here(self, subscription_id: int) -> bool:
        return False

    def lost(self, running: Running, why: str) -> None:
        raise AssertionError(why)


@pytest.mark.parametrize("was_claimed_before", [True, False])
async def test_a_claim_is_given_up_that_is_made_when_nobody_waits_for_it(
    database_url, was_claimed_before
):
    own = str(uuid_utils.uuid7())
    async with opened(database_url) as store:
        record = await given.subscription(store)
        id_ = record.subscription_id
        ownership = Ownership(store, Nothing())
        ownership.begin(own, lambda: True, takes_over=False)
        ownership.lease_held(1)
        fence = 1
        if was_claimed_before:
            assert (
                await store.subscription_release(
                    own, [(id_, await store.subscription_claim(id_, own))]
                )
                == []
            )
            fence = 2
        # Something else is being changed.
        async with store._home.database._lane:
            waiting = asyncio.get_running_loop().create_task(ownership.claim(record))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            # It is looked for as soon as may be, and the claim is made after that.
            await asyncio.sleep(0.05)
        until = Deadline(DEADLINE_S)
        while await store.subscriptions_owned(own) or not await made(store, id_, fence):
            assert until.left_s, "it was not given up"
            await asyncio.sleep(0.01)
        await ownership.end()


async def made(store, subscription_id: int, fence: int) -> bool:
    """Whether it was claimed."""
    return (await store.subscription_fences([subscription_id]))[subscription_id] == fence
