import asyncio

import pytest

from conduit import __version__
from conduit.broker.publish.proof import PATIENCE_S
from conduit.errors import StoreUnavailable
from conduit.storage.memory import MemoryStore
from tests.server.rest_kit import Api, refused, running_api


class FailingStore(MemoryStore):
    """A store that takes no writes when told so, and whose dead letters cannot be read."""

    error: Exception | None = None

    async def prove(self, size_bytes):
        if self.error is not None:
            raise self.error

    async def append(self, batch):
        await self.prove(0)
        return await super().append(batch)

    async def dead_get(self, tenant, dead_id):
        await asyncio.Event().wait()


@pytest.fixture
def store():
    return FailingStore()


@pytest.fixture
async def api(store):
    async with running_api(store=store) as api:
        yield api


async def metric(api: Api, name: str) -> float:
    text = (await api.send("GET", "/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def test_health_names_the_version_the_node_and_the_store(api: Api):
    body = await api.get("/health")
    store = body.pop("store")
    auth = {"enabled": False, "open_to": "loopback", "pages": "any"}
    assert body.pop("ready") is True
    assert body == {"status": "ok", "version": __version__, "node_id": "node-1", "auth": auth}
    assert (store["kind"], store["durable"]) == ("memory", False)


async def test_a_server_is_ready_until_it_stops(api: Api):
    assert await api.get("/health/ready") == {"status": "ready"}
    assert await metric(api, "conduit_ready") == 1
    api.context.ready = False
    answer = await api.send("GET", "/health/ready")
    refused(answer, 503, "shutting_down")
    assert answer.headers["retry-after"] == "1"
    assert await metric(api, "conduit_ready") == 0
    assert (await api.get("/health"))["status"] == "ok", "it is alive all the same"


async def test_a_server_whose_store_refuses_commits_is_not_ready_and_says_why(api: Api, store):
    await api.topic("t", count=1)
    store.error = StoreUnavailable("the disk is full")
    refused(
        await api.send("POST", "/api/publish", json={"topic": "t", "payload": 1}),
        503,
        "store_unavailable",
    )
    detail = refused(await api.send("GET", "/health/ready"), 503, "store_unavailable")
    assert detail == "the store takes no writes: the disk is full"
    assert await metric(api, "conduit_ready") == 0
    store.error = None
    await api.bench.publish("t")
    assert await api.get("/health/ready") == {"status": "ready"}
    assert await metric(api, "conduit_ready") == 1


async def test_readiness_asks_nobody_who_may_be_busy(api: Api):
    asyncio.get_running_loop().create_task(api.context.broker.store.dead_get("default", "x"))
    async with asyncio.timeout(PATIENCE_S):
        assert await api.get("/health/ready") == {"status": "ready"}


async def test_changes_that_the_store_refuses_are_told_in_the_log(api: Api, store, caplog):
    async def fails(*_args):
        raise StoreUnavailable("the disk is full")

    store.topic_create = store.topics_create = fails
    for name in "ab":
        answer = await api.send("POST", "/api/topics", json={"name": name})
        refused(answer, 503, "store_unavailable")
    api.context.broker.refused_changes.tick(0.0)
    assert caplog.messages == [
        "changes refused with store_unavailable: 2, the last because: the disk is full"
    ]


async def test_how_many_servers_use_the_store_is_a_metric(api: Api, store):
    assert await metric(api, "conduit_store_servers") == 1
    store.server_count = 2
    assert await metric(api, "conduit_store_servers") == 2
