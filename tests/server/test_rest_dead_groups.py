import pytest

from conduit.broker.administer import dead_letters, looking
from conduit.storage import dead
from tests.server.rest_kit import Api, refused, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def test_dead_letters_are_grouped_by_topic_and_reason_the_largest_first(api: Api):
    await api.topic("t")
    await api.topic("u")
    await api.die("u", count=1)
    await api.die("t", subscription="s", count=3)
    body = await api.get("/api/dlq/groups")
    newest = (await api.get("/api/dlq", topic="t"))["dead_letters"][0]["id"]
    assert body["groups"][0] == {
        "topic": "t",
        "reason": "bad",
        "count": 3,
        "redriven_count": 0,
        "first_died_at": "2023-11-14T22:13:20.000Z",
        "last_died_at": "2023-11-14T22:13:20.000Z",
        "sample_id": newest,
    }
    assert [group["topic"] for group in body["groups"]] == ["t", "u"]
    assert (body["next"], "searched_to" in body) == (None, False)
    body = await api.get("/api/dlq/groups", topic="u", redriven="false")
    assert [(group["topic"], group["count"]) for group in body["groups"]] == [("u", 1)]


@pytest.mark.parametrize("bound", ["time", "groups"])
async def test_groups_that_are_not_all_say_so_and_go_on(api: Api, monkeypatch, bound):
    monkeypatch.setattr(dead, "LOOK_MAX_COUNT", 2)
    if bound == "time":
        monkeypatch.setattr(looking, "SEARCH_MAX_S", 0.0)
    else:
        monkeypatch.setattr(dead_letters, "GROUPS_MAX_COUNT", 1)
    await api.topic("t")
    await api.die("t", subscription="s", count=5)
    counts, query = [], {}
    while True:
        body = await api.get("/api/dlq/groups", **query)
        counts += [group["count"] for group in body["groups"]]
        assert ("searched_to" in body) is (body["next"] is not None)
        if body["next"] is None:
            break
        query = {"cursor": body["next"]}
    assert counts == [2, 2, 1]


@pytest.mark.parametrize("query", [{"topic": "a.*"}, {"cursor": "x"}, {"limit": 5}])
async def test_a_question_with_a_fault_is_refused_by_field(api: Api, query):
    answer = await api.send("GET", "/api/dlq/groups", params=query)
    (field,) = query
    refused(answer, 400, answer.json()["code"], field)
