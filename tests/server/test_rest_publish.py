import pytest

from tests.server.rest_kit import Api, accepted, refused, running_api

RECEIPT = {
    "message_id",
    "topic",
    "subscribers",
    "published_at",
    "seq",
    "epoch",
    "durable",
    "duplicate",
}


@pytest.fixture
async def api():
    async with running_api() as api:
        await api.topic("t")
        yield api


async def post(api: Api, body: bytes, path="/api/publish", **headers):
    return await api.send("POST", path, content=body, headers=headers)


async def test_a_message_is_published_byte_for_byte(api: Api):
    receipt = accepted(await post(api, b'{"topic":"t","payload":{ "a": 1.0 },"key":"k"}'))
    assert receipt.keys() == RECEIPT
    assert (receipt["topic"], receipt["seq"], receipt["duplicate"]) == ("t", 1, False)
    assert b'"payload":{ "a": 1.0 }' in (await api.send("GET", "/api/topics/t/messages")).content


async def test_the_idempotency_key_may_come_as_a_header(api: Api):
    body = b'{"topic":"t","payload":1}'
    headers = {"idempotency-key": "once"}
    first, second = [accepted(await post(api, body, **headers)) for _ in range(2)]
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["message_id"] == second["message_id"]


async def test_a_header_that_contradicts_the_body_is_refused(api: Api):
    body = b'{"topic":"t","payload":1,"idempotency_key":"a"}'
    accepted(await post(api, body, **{"idempotency-key": "a"}))
    answer = await post(api, body, **{"idempotency-key": "b"})
    refused(answer, 400, "invalid_request", "idempotency_key")


async def test_a_batch_is_answered_in_order(api: Api):
    body = b'{"messages":[{"topic":"t","payload":1},{"topic":"t","payload":2}]}'
    answer = accepted(await post(api, body, "/api/publish/batch"))
    assert [receipt["seq"] for receipt in answer["results"]] == [1, 2]
    assert answer["results"][0].keys() == RECEIPT


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "malformed_json", None),
        (b'{"topic":"t","payload":"\xff"}', 400, "malformed_json", None),
        (b'{"topic":"t"}', 400, "invalid_request", "payload"),
        (b'{"topic":"t","payload":1,"colour":1}', 400, "unknown_field", "colour"),
        (b'{"topic":"no topic","payload":1}', 400, "invalid_topic", "topic"),
        (b'{"topic":"u","payload":1}', 404, "topic_not_found", "topic"),
    ],
)
async def test_a_publish_with_a_fault_is_refused(api: Api, body, status, code, field):
    refused(await post(api, body), status, code, field)


async def test_a_query_is_refused(api: Api):
    answer = await post(api, b'{"topic":"t","payload":1}', "/api/publish?sync=1")
    refused(answer, 400, "unknown_field", "sync")
