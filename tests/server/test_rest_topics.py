import pytest

from conduit.core.message import Retention
from tests.server.rest_kit import Api, accepted, refused, running_api

DEFAULT = Retention(max_age_s=3600, max_bytes=1 << 20)


@pytest.fixture
async def api():
    async with running_api(retention=DEFAULT) as api:
        api.context.default_retention = DEFAULT
        yield api


async def create(api: Api, **body):
    return await api.send("POST", "/api/topics", json=body)


async def change(api: Api, name, retention):
    answer = await api.send("PATCH", f"/api/topics/{name}", json={"retention": retention})
    return accepted(answer)["retention"]


async def test_a_topic_is_created_with_every_field(api: Api):
    body = accepted(await create(api, name="orders.created"), 201)
    assert body.pop("epoch")
    assert body == {
        "name": "orders.created",
        "subscriber_count": 0,
        "message_count": 0,
        "created_at": "2023-11-14T22:13:20.000Z",
        "first_seq": 1,
        "last_seq": 0,
        "stored_bytes": 0,
        "retention": {"max_age_s": 3600, "max_messages": None, "max_bytes": 1 << 20},
    }
    assert (await api.get("/api/topics/orders.created"))["name"] == "orders.created"


async def test_a_topic_counts_what_was_published_to_it(api: Api):
    await api.topic("t", 3)
    body = await api.get("/api/topics/t")
    assert (body["message_count"], body["first_seq"], body["last_seq"]) == (3, 1, 3)
    assert body["stored_bytes"] > 0


async def test_a_retention_that_is_given_in_part_has_the_nodes_defaults_for_the_rest(api: Api):
    body = accepted(await create(api, name="t", retention={"max_age_s": 5, "max_bytes": None}), 201)
    assert body["retention"] == {"max_age_s": 5, "max_messages": None, "max_bytes": None}


async def test_a_name_that_is_taken_is_a_conflict(api: Api):
    await api.topic("t")
    refused(await create(api, name="t"), 409, "topic_exists", "name")


@pytest.mark.parametrize("name", ["", "a b", "a..b", ".a", "a.*", "x" * 256, "ä"])
async def test_a_name_against_the_grammar_is_refused(api: Api, name):
    refused(await create(api, name=name), 400, "invalid_topic", "name")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid_request", "name"),
        ({"name": 7}, "invalid_request", "name"),
        ({"name": None}, "invalid_request", "name"),
        ({"nmae": "t"}, "unknown_field", "nmae"),
        ({"name": "t", "colour": 1}, "unknown_field", "colour"),
        ({"name": "t", "retention": {"days": 1}}, "unknown_field", "retention.days"),
        ({"name": "t", "retention": {"max_age_s": 0}}, "invalid_request", "retention.max_age_s"),
        ({"name": "t", "retention": {"max_bytes": True}}, "invalid_request", "retention.max_bytes"),
        ({"name": "t", "retention": {"max_bytes": "9"}}, "invalid_request", "retention.max_bytes"),
        ({"name": "t", "retention": 5}, "invalid_request", "retention"),
        ([], "invalid_request", None),
        ("t", "invalid_request", None),
    ],
)
async def test_a_body_with_a_fault_is_refused_by_field(api: Api, body, code, field):
    refused(await api.send("POST", "/api/topics", json=body), 400, code, field)
    assert (await api.get("/api/topics"))["topics"] == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"name":"\xff"}', b"\x00"])
async def test_a_body_that_is_not_json_is_malformed(api: Api, body):
    refused(await api.send("POST", "/api/topics", content=body), 400, "malformed_json")


@pytest.mark.parametrize(
    ("value", "code", "cause"),
    [
        (b"[" * 100_000, "json_too_deep", "nested"),
        (b"[" * 100_000 + b"]" * 100_000, "json_too_deep", "nested"),
        (b"1" * 5_000, "invalid_request", "digits"),
    ],
)
async def test_a_body_that_python_cannot_hold_is_refused_with_its_cause(
    api: Api, value, code, cause
):
    answer = await api.send("POST", "/api/topics", content=b'{"name":%b}' % value)
    refused(answer, 400, code)
    assert cause in answer.json()["detail"]


async def test_a_body_is_json_whatever_its_content_type_says(api: Api):
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await api.send("POST", "/api/topics", content=b'{"name":"t"}', headers=form)
    accepted(answer, 201)


async def test_topics_are_listed_in_pages_by_name(api: Api):
    for name in ("c", "a", "e", "b", "d"):
        await api.topic(name)
    names, query = [], {"limit": 2}
    while True:
        page = await api.get("/api/topics", **query)
        names.append([topic["name"] for topic in page["topics"]])
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert names == [["a", "b"], ["c", "d"], ["e"]]


async def test_topics_are_found_by_a_part_of_their_name(api: Api):
    for name in ("orders.eu", "orders.us", "quakes"):
        await api.topic(name)
    found = await api.get("/api/topics", q="ders.")
    assert [topic["name"] for topic in found["topics"]] == ["orders.eu", "orders.us"]


async def test_the_list_tells_what_a_new_topic_keeps(api: Api):
    defaults = (await api.get("/api/topics"))["default_retention"]
    await api.topic("t")
    assert (await api.get("/api/topics/t"))["retention"] == defaults


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "c3Vic2NyaXB0aW9uczph", "ä"])
async def test_a_cursor_that_this_list_did_not_give_is_refused(api: Api, cursor):
    answer = await api.send("GET", "/api/topics", params={"cursor": cursor})
    refused(answer, 400, "invalid_request", "cursor")


@pytest.mark.parametrize(
    "limit",
    [
        "0",
        "501",
        "-1",
        "ten",
        "1.5",
        "",
        "1_0",
        "+5",
        " 5",
        "5 ",
        "5.0",
        "\u0665",
        ["1", "2"],
        ["5", "5"],
    ],
)
async def test_a_limit_out_of_range_is_refused(api: Api, limit):
    answer = await api.send("GET", "/api/topics", params={"limit": limit})
    refused(answer, 400, "invalid_request", "limit")


async def test_a_change_of_the_retention_leaves_alone_what_it_does_not_name(api: Api):
    await api.topic("t")
    assert (await change(api, "t", {"max_messages": 3})) == {
        "max_age_s": 3600,
        "max_messages": 3,
        "max_bytes": 1 << 20,
    }
    assert (await change(api, "t", {"max_age_s": None}))["max_age_s"] is None
    assert (await api.get("/api/topics/t"))["retention"]["max_messages"] == 3


async def test_a_topic_is_deleted_with_204_and_is_then_unknown(api: Api):
    await api.topic("t")
    gone = await api.send("DELETE", "/api/topics/t")
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        refused(await api.send(method, "/api/topics/t"), 404, "topic_not_found", "topic")
    answer = await api.send("PATCH", "/api/topics/t", json={"retention": {}})
    refused(answer, 404, "topic_not_found", "topic")
