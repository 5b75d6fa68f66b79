"""A small shop that uses a server: what its pages look like when there is something to see."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

from conduit.client import AsyncConduit, Delivery, message

PUBLISHES_PER_S = 40
TOPICS = ("orders.created", "orders.paid", "orders.shipped", "stock.low", "emails.sent")
# Subscription, its pattern, and whether it is attached.
SUBSCRIPTIONS = (
    ("billing", "orders.*", True),
    ("invoices", "orders.paid", True),
    ("warehouse", "orders.paid", True),
    ("search-index", ">", False),
    ("stock-alerts", "stock.low", True),
    ("newsletter", "emails.sent", False),
)
FAILING = "invoices"
SENSORS_COUNT = 24


def order(number: int, dice: random.Random) -> dict[str, Any]:
    """What one says of itself: with a number that a browser's own numbers cannot hold."""
    return {
        "id": 9_007_199_254_740_993 + number,
        "customer": {
            "name": dice.choice(("Ada", "Grace", "Katherine", "Dorothy")),
            "country": "IT",
        },
        "items": [{"sku": f"SKU-{dice.randrange(9999):04}", "count": dice.randrange(1, 4)}],
        "total": round(dice.uniform(5, 900), 2),
    }


async def open_shop(client: AsyncConduit) -> None:
    """Its topics and subscriptions."""
    for name in TOPICS:
        await client.topics.create(name)
    for number in range(SENSORS_COUNT):
        await client.topics.create(f"sensors.room-{number:02}")
    for name, pattern, _ in SUBSCRIPTIONS:
        await client.subscriptions.create(name, pattern)


async def trade(client: AsyncConduit, for_s: float) -> None:
    """Publish for so long, and have subscribers work; one of them refuses some."""
    async with asyncio.TaskGroup() as tasks:
        for name, pattern, is_attached in SUBSCRIPTIONS:
            if is_attached:
                tasks.create_task(_work(client, pattern, name, for_s))
        tasks.create_task(_publish(client, for_s))


async def _work(client: AsyncConduit, pattern: str, name: str, for_s: float) -> None:
    dice = random.Random(7)
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s), client.subscribe(pattern, name) as stream:
            async for delivery in stream:
                await _handle(delivery, dice, name == FAILING)


async def _handle(delivery: Delivery, dice: random.Random, fails: bool) -> None:
    if fails and dice.random() < 0.15:
        await delivery.reject(dice.choice(("no VAT number", "the printer is out of paper")))
    elif fails and dice.random() < 0.1:
        await delivery.nack(20_000, "the tax service does not answer")
    else:
        await delivery.ack()


async def _publish(client: AsyncConduit, for_s: float) -> None:
    dice, loop = random.Random(3), asyncio.get_running_loop()
    began = loop.time()
    for number in range(int(for_s * PUBLISHES_PER_S)):
        await asyncio.sleep(max(0.0, began + number / PUBLISHES_PER_S - loop.time()))
        if dice.random() < 0.3:
            room = dice.randrange(SENSORS_COUNT)
            await client.publish(f"sensors.room-{room:02}", {"celsius": dice.uniform(18, 26)})
        else:
            one = order(number, dice)
            topic = dice.choices(TOPICS, (5, 4, 3, 1, 2))[0]
            await client.publish_batch(
                [message(topic, one, key=one["customer"]["name"], headers={"source": "web"})]
            )
