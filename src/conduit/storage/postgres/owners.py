"""Who has a durable subscription, and until when nobody else may.

Whether the lease of a subscription's owner is over is decided after the subscription's row is locked, by
statements that see what is committed by then: whoever waits for the row would else decide by a lease as it
was when he began to wait, and take what its owner has prolonged since. Who asks what it has locks its rows as
well: so a claim is decided before, and the answer says so, or it sees the lease that the owner had when it
asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conduit.storage.base import OwnedBy
from conduit.storage.postgres import scope

if TYPE_CHECKING:
    from conduit.storage.postgres.database import Connection

_CLAIM = "SELECT fence, holder::text, left_s FROM conduit.claim_subscription($1, $2::uuid, $3)"

# In the order of the keys, as all who lock several.
_RELEASE = """
WITH given AS (
  SELECT s.subscription_id FROM conduit.subscriptions AS s
  JOIN unnest($2::bigint[], $3::bigint[]) AS g (subscription_id, fence)
    ON g.subscription_id = s.subscription_id AND g.fence = s.fence
  WHERE s.owner = $1::uuid ORDER BY s.subscription_id FOR NO KEY UPDATE OF s
)
UPDATE conduit.subscriptions AS s SET owner = NULL
FROM given WHERE s.subscription_id = given.subscription_id
"""
_KEPT = """
SELECT subscription_id, fence FROM conduit.subscriptions
WHERE owner = $1::uuid AND subscription_id = ANY ($2::bigint[])
"""
_OWNED = """
SELECT subscription_id, fence FROM conduit.subscriptions
WHERE owner = $1::uuid ORDER BY subscription_id FOR SHARE
"""
_FENCES = """
SELECT subscription_id, fence FROM conduit.subscriptions WHERE subscription_id = ANY ($1::bigint[])
"""


async def claim(
    connection: Connection, subscription_id: int, owner: str | None, *, by_force: bool
) -> int | OwnedBy:
    """See `Store.subscription_claim`."""
    async with scope.across(connection):
        row = await connection.fetchrow(_CLAIM, subscription_id, owner, by_force)
    if row is None:
        return 0
    fence, holder, left_s = row
    return fence if holder is None else OwnedBy(holder, left_s)


async def release(
    connection: Connection, owner: str, claimed: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """See `Store.subscription_release`."""
    ids = [id_ for id_, _ in claimed]
    async with scope.across(connection):
        await connection.execute(_RELEASE, owner, ids, [fence for _, fence in claimed])
        return [(row[0], row[1]) for row in await connection.fetch(_KEPT, owner, ids)]


async def owned(connection: Connection, owner: str) -> list[tuple[int, int]]:
    """See `Store.subscriptions_owned`."""
    async with scope.across(connection):
        return [(row[0], row[1]) for row in await connection.fetch(_OWNED, owner)]


async def fences(connection: Connection, subscription_ids: Sequence[int]) -> dict[int, int]:
    """See `Store.subscription_fences`."""
    async with scope.across(connection):
        return {row[0]: row[1] for row in await connection.fetch(_FENCES, subscription_ids)}
