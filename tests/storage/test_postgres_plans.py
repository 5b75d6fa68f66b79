"""Plans that PostgreSQL made while there was nothing, and that a session keeps: counted in rows."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from conduit.core.message import Progress
from conduit.storage.postgres import subscriptions
from tests.storage import given
from tests.storage.given import KEEP_ALL, NOW_MS, TENANT
from tests.storage.postgres_kit import opened

COUNT = 1_000

pytestmark = pytest.mark.process


def looked_at(node: dict[str, Any]) -> int:
    """The rows that a plan looked at, in all its nodes."""
    rows = node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0)
    rows += node.get("Rows Removed by Filter", 0)
    return int(rows * node["Actual Loops"]) + sum(map(looked_at, node.get("Plans", [])))


@pytest.mark.parametrize(
    ("statement", "types", "values"),
    [
        (subscriptions._PASSED, "bigint[], bigint[], bigint[]", "ARRAY[{}], '{{}}', '{{}}'"),
        (subscriptions._PROGRESS, "bigint", "{}"),
    ],
)
async def test_what_was_recorded_since_the_plan_was_made_is_not_compared_with_every_topic(
    database_url, statement, types, values
):
    sql = await asyncpg.connect(database_url)
    async with opened(database_url) as store:
        topics = await store.topics_create(
            TENANT, [f"t{number}" for number in range(COUNT)], KEEP_ALL, NOW_MS
        )
        await store.append([given.message(topic.topic_id) for topic in topics])
        record = await given.subscription(store, pattern=">")
        execute = f"EXECUTE asked ({values.format(record.subscription_id)})"
        await sql.execute(
            "ANALYZE; SET plan_cache_mode = force_generic_plan; SET conduit.tenant = '*'"
        )
        await sql.execute(f"PREPARE asked ({types}) AS {statement}")
        await sql.fetch(execute)
        recorded = topics[: COUNT // 2]
        await store.settle(
            [Progress(record.subscription_id, topic.topic_id, 1, 1) for topic in recorded], []
        )
        ((plan,),) = await sql.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {execute}")
    await sql.close()
    assert looked_at(json.loads(plan)[0]["Plan"]) < 20 * COUNT
