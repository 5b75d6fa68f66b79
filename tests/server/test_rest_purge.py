import json

import pytest

from conduit.broker.administer import looking, purging
from tests.server.guarded import open_guarded
from tests.server.rest_kit import Api, refused, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def purge(api: Api, topic="t", **body):
    return await api.post(f"/api/topics/{topic}/purge", body)


async def test_all_messages_of_a_topic_go_and_it_stays(api: Api):
    await api.topic("t", 5)
    done = await purge(api, dry_run=True)
    assert done == {"matched_count": 5, "purged_count": 0, "through_seq": 5, "next": None}
    assert await purge(api) == {**done, "purged_count": 5}
    topic = await api.get("/api/topics/t")
    assert (topic["first_seq"], topic["last_seq"], topic["stored_bytes"]) == (6, 5, 0)
    assert await purge(api) == {**done, "matched_count": 0}


async def test_a_purge_goes_on_where_the_one_before_had_no_more_time(api: Api, monkeypatch):
    monkeypatch.setattr(purging, "SLICE_COUNT", 2)
    monkeypatch.setattr(looking, "SEARCH_MAX_S", 0.0)
    await api.topic("t", 5)
    done = await purge(api)
    assert (done["matched_count"], done["purged_count"], done["through_seq"]) == (5, 2, 5)
    await api.bench.publish("t")
    monkeypatch.setattr(looking, "SEARCH_MAX_S", 3.0)
    done = await purge(api, cursor=done["next"])
    assert done == {"matched_count": 3, "purged_count": 3, "through_seq": 5, "next": None}
    assert (await api.get("/api/topics/t"))["first_seq"] == 6


async def test_a_cursor_of_something_else_and_of_another_topic_of_the_name_are_refused(
    api: Api, monkeypatch
):
    monkeypatch.setattr(looking, "SEARCH_MAX_S", 0.0)
    monkeypatch.setattr(purging, "SLICE_COUNT", 1)
    await api.topic("t", 3)
    cursor = (await purge(api))["next"]
    await api.send("DELETE", "/api/topics/t")
    await api.topic("t", 3)
    path = "/api/topics/t/purge"
    refused(await api.send("POST", path, json={"cursor": cursor}), 409, "conflict")
    for other in ("x", "cHVyZ2U6YUBi", "cHVyZ2U6OTk5OTk5OTk5OTk5OTk5OTk5OTlAYg"):
        answer = await api.send("POST", path, json={"cursor": other})
        refused(answer, 400, "invalid_request", "cursor")
    refused(await api.send("POST", "/api/topics/u/purge", json={}), 404, "topic_not_found", "topic")
    assert (await api.get("/api/topics/t"))["first_seq"] == 1


async def test_a_purge_is_in_the_audit_log_and_a_dry_run_is_not():
    async with open_guarded() as guarded:
        operator = await guarded.operator()
        await guarded.ask("POST", "/api/topics", operator.text, {"name": "orders"})
        for body in ({"dry_run": True}, {}):
            answer = await guarded.ask("POST", "/api/topics/orders/purge", operator.text, body)
            assert answer.status == 200
        (entry,) = await guarded.port.store.audit_page(None, limit=99)
        assert (entry.action, entry.target) == ("topic.purge", "orders")
        assert json.loads(entry.detail) == {"through_seq": 0, "purged_count": 0}
