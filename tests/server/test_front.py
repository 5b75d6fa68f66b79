"""Publishing through the front: answers, their order, and the ways of a connection."""

import json
import logging

import pytest

from conduit.errors import StateError
from conduit.server.connection import UNANSWERED_MAX_COUNT
from tests.server.port import DATE, chunked, open_port, publish, request

BATCH = "/api/publish/batch"


@pytest.fixture
async def port():
    async with open_port() as port:
        yield port


@pytest.fixture
async def client(port):
    return await port.connect()


# What is answered ---------------------------------------------------------------------------------


async def test_a_publish_is_answered_with_its_receipt(port, client):
    await client.send(publish({"a": 1}))
    answer = await client.answer()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["date"] == DATE[1].decode()
    assert (answer.json["topic"], answer.json["seq"]) == ("demo", 1)
    assert (answer.json["durable"], answer.json["duplicate"]) == (False, False)
    assert port.last_seq == 1


async def test_a_batch_is_answered_in_its_order(port, client):
    messages = [{"topic": "demo", "payload": number} for number in range(10)]
    await client.send(request("POST", BATCH, json.dumps({"messages": messages}).encode()))
    results = (await client.answer()).json["results"]
    assert [each["seq"] for each in results] == list(range(1, 11))
    assert port.last_seq == 10


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (request("POST", "/api/publish"), 400, "malformed_json"),
        (request("POST", "/api/publish", b"{"), 400, "malformed_json"),
        (
            request("POST", "/api/publish", b'{"topic":"demo","payload":"\xff"}'),
            400,
            "malformed_json",
        ),
        (request("POST", "/api/publish", b'{"topic":"demo"}'), 400, "invalid_request"),
        (publish(1, colour="red"), 400, "unknown_field"),
        (publish(1, topic="a b"), 400, "invalid_topic"),
        (publish(1, topic="other"), 404, "topic_not_found"),
        (publish("x" * 262_143), 413, "payload_too_large"),
        (request("POST", BATCH, b"{}"), 400, "invalid_request"),
        (request("POST", BATCH, b'{"messages":[]}'), 400, "invalid_request"),
    ],
)
async def test_a_refused_publish_is_a_problem_and_the_connection_goes_on(
    port, client, sent, status, code
):
    await client.send(sent, publish(1))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert (await client.answer()).json["seq"] == 1
    assert port.last_seq == 1


async def test_the_clients_request_id_comes_back_with_a_problem(client):
    await client.send(publish(1, "X-Request-Id: mine-1", topic="other"))
    assert (await client.answer()).json["request_id"] == "mine-1"
    await client.send(publish(1, "X-Request-Id: not mine", topic="other"))
    assert (await client.answer()).json["request_id"] not in ("mine-1", "not mine")


async def test_an_overloaded_broker_is_503_with_a_time_to_come_back(port, client):
    await port.broker.stop()
    await client.send(publish(1))
    answer = await client.answer()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_a_bug_is_500_without_its_text_and_is_logged_once(port, client, caplog):
    def broken(*_):
        raise StateError("a secret of the server")

    port.broker.publish = broken
    await client.send(publish(1, "X-Request-Id: r-1"))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"secret" not in answer.body
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "r-1" in record.getMessage()
    assert record.exc_info[1].detail == "a secret of the server"


async def test_an_error_that_nobody_raised_on_purpose_is_500_too(port, client, caplog):
    def broken(*_):
        raise KeyError("a secret of the server")

    port.broker.publish = port.broker.publish_batch = broken
    batch = b'{"messages":[{"topic":"t","payload":1}]}'
    await client.send(publish(1), request("POST", BATCH, batch))
    for _ in range(2):
        answer = await client.answer()
        assert (answer.status, answer.json["code"]) == (500, "internal")
        assert b"secret" not in answer.body
    assert "KeyError" in caplog.text


# Idempotency keys ---------------------------------------------------------------------------------


async def test_an_idempotency_key_may_stand_in_the_header_the_body_or_both(client):
    await client.send(
        publish(1, "Idempotency-Key: k"),
        publish(1, idempotency_key="k"),
        publish(1, "idempotency-key: k", idempotency_key="k"),
    )
    receipts = [(await client.answer()).json for _ in range(3)]
    assert [each["duplicate"] for each in receipts] == [False, True, True]
    assert {each["seq"] for each in receipts} == {1}


async def test_two_idempotency_keys_that_differ_are_refused(port, client):
    await client.send(publish(1, "Idempotency-Key: a", idempotency_key="b"))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert answer.json["field"] == "idempotency_key"
    assert port.last_seq == 0


async def test_the_error_of_a_batch_names_the_message(port, client):
    for topic, status in (("nobody", 404), ("not a topic", 400)):
        messages = [{"topic": each, "payload": 1} for each in ("demo", topic)]
        await client.send(request("POST", BATCH, json.dumps({"messages": messages}).encode()))
        answer = await client.answer()
        assert (answer.status, answer.json["field"]) == (status, "messages[1].topic")
    assert port.last_seq == 0


async def test_a_batch_takes_no_idempotency_key_for_all(port, client):
    body = json.dumps({"messages": [{"topic": "demo", "payload": 1}]}).encode()
    await client.send(request("POST", BATCH, body, "Idempotency-Key: k"))
    answer = await client.answer()
    assert (answer.status, answer.json["field"]) == (400, "Idempotency-Key")
    assert port.last_seq == 0


# How requests arrive ------------------------------------------------------------------------------


async def test_a_request_may_come_byte_by_byte(client):
    for byte in publish({"a": 1}):
        await client.send(bytes([byte]))
    assert (await client.answer()).status == 200


async def test_a_chunked_publish_stays_with_the_front_and_the_connection_goes_on(client):
    sent = publish([1, 2])
    head, _, body = sent.partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if b"Content-Length" not in line)
    await client.send(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body), sent)
    assert [(await client.answer()).json["seq"] for _ in range(2)] == [1, 2]


async def test_a_large_batch_comes_in_many_reads(port, client):
    messages = [{"topic": "demo", "payload": "x" * 7_000} for _ in range(1_000)]
    await client.send(request("POST", BATCH, json.dumps({"messages": messages}).encode()))
    assert len((await client.answer()).json["results"]) == 1_000
    assert port.last_seq == 1_000


async def test_expect_100_continue_is_answered_in_its_turn(client):
    head, end, body = publish(2, "Expect: 100-continue").partition(b"\r\n\r\n")
    await client.send(publish(1) + head + end)
    assert (await client.answer()).json["seq"] == 1
    assert (await client.answer()).status == 100
    await client.send(*(bytes([byte]) for byte in body))
    assert (await client.answer()).json["seq"] == 2


async def test_a_body_that_came_with_expect_100_continue_needs_no_interim_answer(client):
    await client.send(publish(1, "Expect: 100-continue"))
    assert (await client.answer()).status == 200


async def test_a_body_that_is_too_large_gets_413_in_place_of_100(client):
    head = request("POST", "/api/publish", None, "Content-Length: 99999999", "Expect: 100-continue")
    await client.send(head)
    assert (await client.answer()).status == 413
    assert await client.rest() == b""


async def test_a_client_that_goes_away_in_a_body_publishes_nothing(port, client):
    await client.send(publish(1)[:-1])
    await port.until(lambda: port.context.connections)
    client.writer.close()
    await port.until(lambda: not port.context.connections)
    assert port.last_seq == 0


async def test_a_client_that_goes_away_before_its_answer_has_published(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + publish(2))
    await port.store.appending.wait()
    client.writer.transport.abort()
    port.store.gate.set()
    await port.until(lambda: not port.context.connections)
    assert port.last_seq == 2


# The order of answers -----------------------------------------------------------------------------


async def test_answers_wait_for_the_commits_of_the_requests_before_them(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + publish(2, topic="other") + publish(3) + publish(4, x=1))
    await port.store.appending.wait()
    port.store.gate.set()
    statuses = [(await client.answer()).status for _ in range(4)]
    assert statuses == [200, 404, 200, 400]


async def test_fifty_requests_of_all_kinds_in_one_write_are_answered_in_order(port, client):
    kinds = [
        lambda number: (publish(number), 200),
        lambda number: (request("GET", f"/echo/{number}"), 201),
        lambda number: (publish(number, topic="other"), 404),
        lambda number: (request("POST", f"/echo/{number}", b"body"), 201),
        lambda _: (request("POST", BATCH, b"{}"), 400),
    ]
    pairs = [kinds[number % len(kinds)](number) for number in range(50)]
    await client.send(b"".join(sent for sent, _ in pairs))
    answers = [await client.answer() for _ in pairs]
    assert [answer.status for answer in answers] == [status for _, status in pairs]
    for number, answer in enumerate(answers):
        if answer.status == 201:
            assert answer.json["path"] == f"/echo/{number}"
    assert [a.json["seq"] for a in answers if a.status == 200] == list(range(1, 11))


async def test_answers_of_one_commit_leave_in_one_write(port, client):
    port.store.gate.clear()
    await client.send(b"".join(publish(number) for number in range(20)))
    await port.store.appending.wait()
    (front,) = port.context.connections
    transport, writes = front._transport, []
    front._transport = WriteRecorder(transport, writes)
    port.store.gate.set()
    for number in range(20):
        assert (await client.answer()).json["seq"] == number + 1
    assert len(writes) == 1


class WriteRecorder:
    """A transport that also counts its writes."""

    def __init__(self, transport, writes):
        self._transport = transport
        self._writes = writes

    def write(self, data):
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name):
        return getattr(self._transport, name)


async def test_only_so_many_requests_wait_for_answers_and_the_rest_stays_unread(port, client):
    port.store.gate.clear()
    count = 5 * UNANSWERED_MAX_COUNT
    client.writer.write(b"".join(publish("x" * 20_000) for _ in range(count)))
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    await port.until(lambda: not front._transport.is_reading())
    # Whoever comes later is served meanwhile.
    other = await port.connect()
    await other.send(request("GET", "/echo"))
    assert (await other.answer()).status == 201
    assert len(front._slots) == UNANSWERED_MAX_COUNT
    assert port.store.appended_count <= UNANSWERED_MAX_COUNT
    port.store.gate.set()
    answers = [await client.answer() for _ in range(count)]
    assert [answer.json["seq"] for answer in answers] == list(range(1, count + 1))
    assert front._transport.is_reading()


# The end of a connection --------------------------------------------------------------------------


async def test_connection_close_closes_after_the_answers_before_it(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + publish(2, "Connection: close") + publish(3))
    await port.store.appending.wait()
    port.store.gate.set()
    assert "connection" not in (await client.answer()).headers
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.rest() == b""
    assert port.last_seq == 2


async def test_connection_close_of_a_request_to_the_app_leaves_earlier_answers_alone(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + request("GET", "/echo", None, "Connection: close"))
    await port.store.appending.wait()
    port.store.gate.set()
    assert "connection" not in (await client.answer()).headers
    assert (await client.answer()).headers["connection"] == "close"
    assert await client.rest() == b""


async def test_http_1_0_closes_after_the_answer(client):
    await client.send(publish(1).replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.rest() == b""


async def test_a_client_that_has_shut_its_sending_side_still_gets_its_answers(port, client):
    port.store.gate.clear()
    await client.send(publish(1) + publish(2))
    client.writer.write_eof()
    await port.store.appending.wait()
    port.store.gate.set()
    assert [(await client.answer()).json["seq"] for _ in range(2)] == [1, 2]
    assert await client.rest() == b""
    await port.until(lambda: not port.context.connections)


@pytest.mark.parametrize(
    "broken",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
        request("POST", "/api/publish", b"x" * 9, "Transfer-Encoding: chunked"),
        request("POST", "/api/publish", None, "Transfer-Encoding: chunked") + b"zz\r\n",
    ],
)
async def test_after_a_malformed_request_the_connection_ends_behind_the_earlier_answers(
    port, client, broken
):
    port.store.gate.clear()
    await client.send(publish(1) + broken + publish(2))
    await port.store.appending.wait()
    port.store.gate.set()
    assert (await client.answer()).status == 200
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert answer.headers["connection"] == "close"
    assert await client.rest() == b""
    assert port.last_seq == 1


async def test_a_client_still_sending_gets_the_answer_that_says_why(client):
    head = request("POST", "/api/publish", None, "Content-Length: 99999999")
    client.writer.write(head + b"x" * 5_000_000)
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert await client.rest() == b""


# Shutdown -----------------------------------------------------------------------------------------


async def test_shutdown_closes_idle_connections_and_finishes_the_others():
    async with open_port() as port:
        port.store.gate.clear()
        idle, half, busy = [await port.connect() for _ in range(3)]
        await half.send(publish(1)[:-1])
        await busy.send(publish(1) + publish(2))
        await port.store.appending.wait()
        await port.until(lambda: len(port.state.connections) == 3)
        for connection in tuple(port.state.connections):
            connection.shutdown()
        assert await idle.rest() == b""
        assert await half.rest() == b""
        port.store.gate.set()
        assert "connection" not in (await busy.answer()).headers
        assert (await busy.answer()).headers["connection"] == "close"
        assert await busy.rest() == b""
        await port.until(lambda: not port.state.connections)
