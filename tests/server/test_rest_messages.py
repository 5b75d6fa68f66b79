import msgspec
import pytest

from conduit.broker.waiting import result_of
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import Ack, Nack, PublishRequest, Reject
from tests.server.rest_kit import Api, refused, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def publish_raw(api: Api, topic: str, payload: bytes, **fields):
    request = PublishRequest(topic, msgspec.Raw(payload), **fields)
    return await result_of(lambda answer: api.bench.broker.publish(DEFAULT_TENANT, request, answer))


async def browse(api: Api, **query):
    page = await api.get("/api/topics/t/messages", **query)
    return [message["seq"] for message in page["messages"]], page["next"]


async def states(api: Api, message_id: str):
    body = await api.get(f"/api/messages/{message_id}")
    return {each["subscription"]: each for each in body["deliveries"]}


async def test_a_message_is_shown_byte_for_byte(api: Api):
    await api.topic("t")
    payload = b'{ "price" : 1.50, "id":12345678901234567890, "s":"\\u00e9\xc3\xa9" }'
    receipt = await publish_raw(api, "t", payload, key="k", headers={"h": "v"})
    for path in ("/api/topics/t/messages", f"/api/messages/{receipt.message_id}"):
        answer = await api.send("GET", path)
        assert b'"payload":' + payload in answer.content
    (message,) = (await api.get("/api/topics/t/messages"))["messages"]
    assert message.pop("payload")
    assert message == {
        "message_id": receipt.message_id,
        "topic": "t",
        "seq": 1,
        "published_at": "2023-11-14T22:13:20.000Z",
        "key": "k",
        "headers": {"h": "v"},
    }


async def test_key_and_headers_are_left_out_where_there_are_none(api: Api):
    await api.topic("t", 1)
    (message,) = (await api.get("/api/topics/t/messages"))["messages"]
    assert not {"key", "headers"} & message.keys()


async def test_messages_are_browsed_upwards_in_pages(api: Api):
    await api.topic("t", 5)
    assert await browse(api, limit=2) == ([1, 2], 3)
    assert await browse(api, limit=2, from_seq=3) == ([3, 4], 5)
    assert await browse(api, limit=2, from_seq=5) == ([5], None)
    assert await browse(api, from_seq=6) == ([], None)


async def test_messages_are_browsed_downwards_in_pages(api: Api):
    await api.topic("t", 5)
    assert await browse(api, limit=2, order="desc") == ([5, 4], 3)
    assert await browse(api, limit=2, order="desc", from_seq=3) == ([3, 2], 1)
    assert await browse(api, limit=2, order="desc", from_seq=1) == ([1], None)
    assert await browse(api, order="desc", from_seq=0) == ([], None)


async def test_messages_are_browsed_by_time(api: Api):
    await api.topic("t")
    for _ in range(4):
        await api.bench.publish("t")
        api.bench.clock.seconds += 60
    # At 22:13:20, 22:14:20, 22:15:20 and 22:16:20.
    assert await browse(api, from_time="2023-11-14T22:14:20Z") == ([2, 3, 4], None)
    assert await browse(api, to_time="2023-11-14T22:14:20Z") == ([1], None)
    window = {"from_time": "2023-11-14T23:14:00+01:00", "to_time": "2023-11-14T22:16:20.000Z"}
    assert await browse(api, **window) == ([2, 3], None)
    assert await browse(api, **window, order="desc", limit=1) == ([3], 2)
    assert await browse(api, **window, order="desc", limit=1, from_seq=2) == ([2], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from_seq": "one"}, "from_seq"),
        ({"from_seq": -1}, "from_seq"),
        ({"limit": 1001}, "limit"),
        ({"limit": "1_0"}, "limit"),
        ({"limit": [1, 1]}, "limit"),
        ({"from_seq": "+5"}, "from_seq"),
        ({"from_time": ["2026-11-22T20:48:31Z"] * 2}, "from_time"),
        ({"order": "up"}, "order"),
        ({"from_time": "yesterday"}, "from_time"),
        ({"from_time": "2023-11-14"}, "from_time"),
        ({"from_time": "2023-11-14T22:13:20"}, "from_time"),
        ({"to_time": "2023-W46-2T22:13:20Z"}, "to_time"),
        ({"to_time": "2023-02-30T22:13:20Z"}, "to_time"),
        ({"to_time": "1700000000"}, "to_time"),
    ],
)
async def test_a_window_with_a_fault_is_refused_by_field(api: Api, query, field):
    await api.topic("t")
    answer = await api.send("GET", "/api/topics/t/messages", params=query)
    refused(answer, 400, "invalid_request", field)


async def test_a_plus_that_became_a_space_is_explained(api: Api):
    await api.topic("t")
    answer = await api.send("GET", "/api/topics/t/messages?from_time=2023-11-14T22:13:20+01:00")
    assert "%2B" in refused(answer, 400, "invalid_request", "from_time")


async def test_unknown_topics_and_messages_are_404(api: Api):
    refused(await api.send("GET", "/api/topics/t/messages"), 404, "topic_not_found", "topic")
    for message_id in ("01890000-0000-7000-8000-000000000000", "nonsense", "%00"):
        refused(await api.send("GET", f"/api/messages/{message_id}"), 404, "message_not_found")


async def test_a_message_shows_its_state_in_every_durable_subscription(api: Api):
    for name in ("acked", "dead", "in-flight", "offline", "retrying"):
        body = {"name": name, "topic": "t", "ack_wait_ms": 5000}
        await api.post("/api/subscriptions", body, 201)
    peers = {
        name: await api.bench.subscribe("t", subscription=name)
        for name in ("acked", "dead", "in-flight", "retrying")
    }
    message_id = (await api.bench.publish("t")).message_id
    peers["acked"][0].verbs.ack(Ack(message_id=message_id))
    peers["dead"][0].verbs.reject(Reject(message_id, reason="broken"))
    peers["retrying"][0].verbs.nack(Nack(message_id, delay_ms=60_000, reason="later"))
    await api.bench.flush()
    found = await states(api, message_id)
    assert {name: each["state"] for name, each in found.items()} == {
        "acked": "acked",
        "dead": "dead",
        "in-flight": "in_flight",
        "offline": "pending",
        "retrying": "retrying",
    }
    assert (found["dead"]["attempts"], found["dead"]["last_reason"]) == (1, "broken")
    assert found["retrying"]["last_reason"] == "later"
    assert found["retrying"]["next_attempt_at"].startswith("2023-11-14T22:14:2")
    assert found["in-flight"]["attempts"] == 1
    for connection, _ in peers.values():
        connection.close()


async def test_a_message_that_was_redriven_is_no_longer_shown_as_dead(api: Api):
    await api.die("t", subscription="s")
    (letter,) = (await api.get("/api/dlq"))["dead_letters"]
    dead = (await states(api, letter["message_id"]))["s"]
    assert (dead["state"], dead["died_at"], dead["redriven_at"]) == (
        "dead",
        letter["died_at"],
        None,
    )
    redriven = await api.post(f"/api/dlq/{letter['id']}/redrive")
    again = (await states(api, letter["message_id"]))["s"]
    assert (again["state"], again["died_at"]) == ("retrying", letter["died_at"])
    assert again["redriven_at"] == redriven["redriven_at"] is not None


async def test_a_message_that_was_acked_after_a_redrive_tells_of_its_death_still(api: Api):
    await api.die("t", subscription="s")
    (letter,) = (await api.get("/api/dlq"))["dead_letters"]
    await api.post(f"/api/dlq/{letter['id']}/redrive")
    connection, _ = await api.bench.subscribe("t", subscription="s")
    connection.verbs.ack(Ack(message_id=letter["message_id"]))
    await api.bench.flush()
    found = (await states(api, letter["message_id"]))["s"]
    assert (found["state"], found["died_at"]) == ("acked", letter["died_at"])
    assert found["redriven_at"] is not None
    connection.close()


async def search(api: Api, **query):
    page = await api.get("/api/topics/t/messages", **query)
    return [message["seq"] for message in page["messages"]], page["next"], page.get("scanned_to")


async def test_messages_are_found_by_key_header_and_text(api: Api):
    await api.topic("t")
    await publish_raw(
        api, "t", b'{"note":"card declined"}', key="a", headers={"trace": "1", "x": "y"}
    )
    await publish_raw(api, "t", b'{"note":"paid"}', key="b", headers={"trace": "2"})
    await publish_raw(api, "t", b'{"note":"paid"}', key="a")
    assert await search(api, key="a") == ([1, 3], None, 3)
    assert await search(api, contains="paid", key="a") == ([3], None, 3)
    assert await search(api, **{"header.trace": "1"}) == ([1], None, 3)
    assert await search(api, **{"header.trace": "1", "header.x": "z"}) == ([], None, 3)
    assert await search(api, contains="paid", order="desc", limit=1) == ([3], 2, 3)
    assert await search(api, contains="") == ([1, 2, 3], None, 3)
    # Not a search.
    assert await search(api) == ([1, 2, 3], None, None)


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"header.": "x"}, "invalid_request", "header."),
        ({"header": "x"}, "unknown_field", "header"),
        ({"headers": "x"}, "unknown_field", "headers"),
        ({"contains": "x" * 256}, "invalid_request", "contains"),
    ],
)
async def test_a_search_that_is_not_understood_names_its_parameter(api: Api, query, code, field):
    await api.topic("t")
    answer = await api.send("GET", "/api/topics/t/messages", params=query)
    refused(answer, 400, code, field)


async def test_what_became_of_a_message_is_told_in_pages(api: Api):
    await api.topic("t")
    for name in ("b", "a", "c"):
        await api.post("/api/subscriptions", {"name": name, "topic": "t"}, 201)
    receipt = await publish_raw(api, "t", b"1")
    path = f"/api/messages/{receipt.message_id}"
    page = await api.get(path, limit=2)
    assert [each["subscription"] for each in page["deliveries"]] == ["a", "b"]
    rest = await api.get(path, limit=2, cursor=page["next"])
    assert ([each["subscription"] for each in rest["deliveries"]], rest["next"]) == (["c"], None)
    assert rest["payload"] == page["payload"] == 1
    assert (await api.get(path))["next"] is None
    refused(await api.send("GET", f"{path}?cursor=no"), 400, "invalid_request", "cursor")
