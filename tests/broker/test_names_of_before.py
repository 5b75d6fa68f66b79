"""Subscriptions whose names are not given any more: those that an earlier version has made go on."""

import pytest

from conduit.core.message import SubscriptionSettings
from conduit.errors import InvalidRequest, NotFound
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Reject
from conduit.storage.base import Start
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, running_broker

DOTS = [".", ".."]


@pytest.mark.parametrize("name", DOTS)
async def test_no_subscribe_makes_one_that_no_address_can_name(bench: Bench, name):
    with pytest.raises(InvalidRequest, match="taken out of the addresses") as caught:
        await bench.subscribe("t", subscription=name)
    assert (caught.value.code, caught.value.field) == ("invalid_name", "subscription")
    assert bench.broker.topics.find(DEFAULT_TENANT, "t") is None


@pytest.mark.parametrize("name", DOTS)
async def test_one_that_is_there_goes_on_and_is_named_in_the_log(name, caplog):
    store = MemoryStore()
    await store.open()
    settings = SubscriptionSettings()
    await store.subscription_create(DEFAULT_TENANT, name, "t", settings, Start(), 0)
    async with running_broker(store) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "t")
        _, peer = await bench.subscribe("t", subscription=name)
        await bench.publish("t", 1)
        assert [frame["subscription"] for frame in peer.of("message")] == [name]
        await bench.broker.subscriptions.delete(DEFAULT_TENANT, name)
        with pytest.raises(NotFound):
            await bench.broker.subscriptions.get(DEFAULT_TENANT, name)
    (line,) = [r.getMessage() for r in caplog.records if repr(name) in r.getMessage()]
    assert "docs/http-api.md" in line


async def test_a_reason_is_bounded_in_bytes(bench: Bench):
    connection, peer = await bench.subscribe("t")
    await bench.publish("t", 1)
    (frame,) = peer.of("message")
    for reason in ("x" * 513, "ä" * 257, "\U0001f600" * 129):
        with pytest.raises(InvalidRequest, match="512 bytes") as caught:
            connection.verbs.reject(Reject(frame["message_id"], reason=reason))
        assert caught.value.field == "reason"
    connection.verbs.reject(Reject(frame["message_id"], reason="ä" * 256))
    await bench.flush()
