import asyncio

import pytest

from conduit import __version__
from conduit.errors import StoreUnavailable
from conduit.storage.memory import MemoryStore
from tests.server.rest_kit import Api, refused, running_api


class FailingStore(MemoryStore):
    """A store whose reads fail or hang when told to."""

    mode = "fine"

    async def dead_get(self, tenant, dead_id):
        if self.mode == "failing":
            raise StoreUnavailable("the disk is gone")
        if self.mode == "hanging":
            await asyncio.Event().wait()
        return await super().dead_get(tenant, dead_id)


@pytest.fixture
def store():
    return FailingStore()


@pytest.fixture
async def api(store):
    async with running_api(store=store) as api:
        yield api


async def test_health_names_the_version_the_node_and_the_store(api: Api):
    body = await api.get("/health")
    store = body.pop("store")
    assert body == {"status": "ok", "version": __version__, "node_id": "node-1"}
    assert (store["kind"], store["durable"]) == ("memory", False)


async def test_a_server_is_ready_until_it_stops(api: Api):
    assert await api.get("/health/ready") == {"status": "ready"}
    api.context.ready = False
    answer = await api.send("GET", "/health/ready")
    refused(answer, 503, "shutting_down")
    assert answer.headers["retry-after"] == "1"
    assert (await api.get("/health"))["status"] == "ok", "it is alive all the same"


async def test_a_server_whose_store_fails_is_not_ready(api: Api, store):
    store.mode = "failing"
    refused(await api.send("GET", "/health/ready"), 503, "store_unavailable")


async def test_a_server_whose_store_hangs_is_not_ready(api: Api, store, monkeypatch):
    monkeypatch.setattr("conduit.server.rest.health.CHECK_TIMEOUT_S", 0.01)
    store.mode = "hanging"
    refused(await api.send("GET", "/health/ready"), 503, "store_unavailable")
