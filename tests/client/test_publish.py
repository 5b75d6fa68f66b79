from __future__ import annotations

import pytest

from conduit.client import (
    ApiError,
    AsyncConduit,
    BadAnswer,
    ConnectionFailed,
    DeadLetterFilter,
    message,
    rest,
)
from conduit.errors import InvalidRequest
from tests.client.peer import DROP, answer, http_peer, problem
from tests.support.server import free_port

RECEIPT = {
    "message_id": "01a20507-1094-7489-8567-fb2a04479d0d",
    "topic": "t",
    "subscribers": 1,
    "published_at": "2026-01-01T00:00:00.000Z",
    "seq": 7,
    "epoch": "e",
    "durable": True,
    "duplicate": False,
    "a_field_of_tomorrow": 1,
}


async def test_a_publish_sends_the_message_and_returns_the_receipt() -> None:
    async with http_peer(answer(200, RECEIPT)) as (url, bodies), AsyncConduit(url) as client:
        receipt = await client.publish("t", {"n": 1}, key="k", headers={"a": "b"})
    assert (receipt.seq, receipt.durable, receipt.duplicate) == (7, True, False)
    (body,) = bodies
    assert body.pop("idempotency_key")
    assert body == {"topic": "t", "payload": {"n": 1}, "key": "k", "headers": {"a": "b"}}


async def test_what_json_cannot_say_is_refused_before_it_is_sent() -> None:
    within_itself: list[object] = []
    within_itself.append(within_itself)
    async with AsyncConduit("http://127.0.0.1:9") as client:
        for payload in (object(), "\ud800", 10**5000, within_itself):
            with pytest.raises(InvalidRequest, match="cannot be sent as JSON"):
                await client.publish("t", payload)
        with pytest.raises(InvalidRequest, match="surrogates"):
            await client.publish("t", 1, key="\ud800")


async def test_a_dead_letter_is_read_however_deep_its_payload_is() -> None:
    deep = "[" * 3_000 + "]" * 3_000
    rest = '"message_id":"m","topic":"t","seq":1,"attempts":5,"reason":"r","died_at":""'
    letters = ",".join(
        f'{{"id":"{dead_id}","payload":{payload},{rest}}}'
        for dead_id, payload in (("d1", deep), ("d2", "7"))
    )
    page = f'{{"dead_letters":[{letters}],"next":null}}'
    async with http_peer(answer(200, page)) as (url, _), AsyncConduit(url) as client:
        found = [one async for one in client.dead_letters.find(DeadLetterFilter())]
    assert [(one.id, bytes(one.payload)) for one in found] == [("d1", deep.encode()), ("d2", b"7")]


@pytest.mark.parametrize("status", [200, 400, 502])
async def test_an_answer_that_nothing_can_decode_is_a_bad_answer(status: int) -> None:
    reply = answer(status, "[" * 100_000)
    async with http_peer(reply) as (url, _), AsyncConduit(url, retry_s=0) as client:
        with pytest.raises((BadAnswer, ConnectionFailed)):
            await client.publish("t", 1)


async def test_a_try_after_a_lost_answer_has_the_same_idempotency_key() -> None:
    replies = (DROP, problem(503, "overloaded", retry_after="0"), answer(200, RECEIPT))
    async with http_peer(*replies) as (url, bodies), AsyncConduit(url) as client:
        await client.publish("t", 1)
    assert len({body["idempotency_key"] for body in bodies}) == 1


async def test_two_publishes_have_different_idempotency_keys() -> None:
    async with http_peer(*[answer(200, RECEIPT)] * 2) as (url, bodies), AsyncConduit(url) as client:
        await client.publish("t", 1)
        await client.publish("t", 1)
    assert bodies[0]["idempotency_key"] != bodies[1]["idempotency_key"]


async def test_a_refusal_is_not_tried_again_and_says_why() -> None:
    async with http_peer(problem(404, "topic_not_found")) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.publish("t", 1)
    error = raised.value
    assert (error.code, error.status, error.retryable) == ("topic_not_found", 404, False)
    assert error.request_id == "r1"


async def test_tries_end_when_the_time_is_up() -> None:
    client = AsyncConduit(f"http://127.0.0.1:{free_port()}", retry_s=0.0)
    async with client:
        with pytest.raises(ConnectionFailed) as raised:
            await client.publish("t", 1)
    assert raised.value.retryable


async def test_a_wait_that_the_server_asks_for_beyond_the_time_is_not_begun() -> None:
    reply = problem(503, "overloaded", retry_after="3600")
    async with http_peer(reply) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(ApiError) as raised:
            await client.publish("t", 1)
    assert raised.value.retry_after_s == 3600


async def test_a_proxy_without_a_server_behind_it_is_tried_again() -> None:
    replies = (answer(502, "<html>Bad Gateway</html>"), answer(200, RECEIPT))
    async with http_peer(*replies) as (url, bodies), AsyncConduit(url) as client:
        await client.publish("t", 1)
    assert len(bodies) == 2


async def test_an_answer_of_another_kind_of_server_is_named_so() -> None:
    async with http_peer(answer(200, "hello")) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(BadAnswer):
            await client.publish("t", 1)


@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_that_is_larger_than_any_of_ours_is_not_read_to_its_end(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "ANSWER_MAX_BYTES", 1 << 20)
    replies = (answer(status, "x" * ((1 << 20) + 1)), answer(200, RECEIPT))
    async with http_peer(*replies) as (url, _), AsyncConduit(url) as client:
        with pytest.raises(BadAnswer, match="more than 1 MiB"):
            await client.publish("t", 1)
        # What is left of it is no part of the next one.
        await client.publish("t", 1)


async def test_a_batch_is_one_request_and_its_messages_have_keys_of_their_own() -> None:
    reply = answer(200, {"results": [RECEIPT, RECEIPT]})
    async with http_peer(DROP, reply) as (url, bodies), AsyncConduit(url) as client:
        receipts = await client.publish_batch([message("t", 1), message("t", 2)])
    assert len(receipts) == 2
    assert bodies[0] == bodies[1]
    keys = {one["idempotency_key"] for one in bodies[0]["messages"]}
    assert len(keys) == 2


async def test_a_redrive_without_a_rate_has_the_servers() -> None:
    job = {"id": "j", "action": "redrive", "state": "running", "matched_count": 1}
    job |= {"redriven_count": 0, "discarded_count": 0, "failed_count": 0}
    job |= {"rate_per_s": 100, "max_count": 9, "error": None}
    job |= {"started_at": None, "finished_at": None}
    async with http_peer(answer(200, job)) as (url, bodies), AsyncConduit(url) as client:
        await client.dead_letters.redrive_many(DeadLetterFilter(topic="t"))
    assert "rate_per_s" not in bodies[0]


async def test_a_bad_topic_is_refused_before_anything_is_sent() -> None:
    async with AsyncConduit("http://127.0.0.1:1") as client:
        with pytest.raises(InvalidRequest):
            await client.publish("no spaces", 1)
