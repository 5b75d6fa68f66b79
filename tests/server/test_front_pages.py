"""Requests of pages: whose are answered, and what their bodies have to be."""

import json
import re

import pytest

from conduit.server.rest.api import create_api
from tests.server.port import TOPIC, open_port, publish, request
from tests.server.test_front_upgrade import UPGRADE

# The port allows it.
MINE = "Origin: https://app.example"
FOREIGN = "Origin: https://evil.example"
BATCH = json.dumps({"messages": [{"topic": TOPIC, "payload": 1}]}).encode()
BODY = json.dumps({"topic": TOPIC, "payload": 1}).encode()
JSON = "Content-Type: application/json"


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        yield port


async def answer_to(port, sent: bytes):
    client = await port.connect()
    await client.send(sent)
    return await client.answer(), client


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", "/api/publish", BODY, FOREIGN),
        request("POST", "/api/publish", BODY, FOREIGN, JSON),
        request("POST", "/api/publish/batch", BATCH, FOREIGN, JSON),
        request("POST", "/api/publish?x=1", BODY, FOREIGN, JSON),
        request("POST", "/api/topics", b'{"name":"new"}', FOREIGN, JSON),
        request("DELETE", f"/api/topics/{TOPIC}", None, FOREIGN),
        request("OPTIONS", f"/api/topics/{TOPIC}", None, FOREIGN, "Access-Control-Request-Method: DELETE"),
        request("GET", "/api/topics", None, FOREIGN),
        request("GET", "/health", None, FOREIGN),
        request("GET", "/ws", None, *UPGRADE, FOREIGN),
        request("GET", "/nowhere", None, FOREIGN),
        request("GET", "/api/topics", None, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
        # Only the head, of a body that never comes.
        request("POST", "/api/publish", BODY, FOREIGN, JSON)[: -len(BODY)],
    ],
)  # fmt: skip
async def test_a_page_of_another_origin_is_refused_before_anything_is_done(port, sent):
    answer, client = await answer_to(port, sent)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers
    assert (answer.headers["vary"], answer.headers["connection"]) == ("Origin", "close")
    assert await client.rest() == b""
    assert port.last_seq == 0
    topics = await port.broker.topics.page("default", q=None, limit=10, after=None)
    assert [topic.name for topic in topics] == [TOPIC]


async def test_a_foreign_publish_is_counted_as_refused(port):
    await answer_to(port, request("POST", "/api/publish", BODY, FOREIGN, JSON))
    assert port.broker.stats.publish_errors["forbidden"] == 1


async def test_a_foreign_request_behind_others_comes_in_its_turn(port):
    client = await port.connect()
    await client.send(publish(1) + request("POST", "/api/publish", BODY, FOREIGN) + publish(2))
    assert (await client.answer()).json["seq"] == 1
    assert (await client.answer()).status == 403
    assert await client.rest() == b""
    assert port.last_seq == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("POST", "/api/publish", BODY, MINE, JSON), 200),
        (request("POST", "/api/publish", b"{}", MINE, JSON), 400),
        (request("POST", "/api/publish/batch", BATCH, MINE, JSON), 200),
        (request("POST", "/api/publish/batch", b"{}", MINE, JSON), 400),
        (request("POST", "/api/publish", BODY, MINE, "Content-Type: text/plain"), 415),
        (request("GET", "/api/topics", None, MINE), 200),
        (request("GET", "/nowhere", None, MINE), 404),
        (request("POST", "/api/publish", bytes(600_000), MINE, JSON), 413),
        (request("GET", "/ws", None, MINE), 426),
    ],
)
async def test_a_page_that_is_named_can_read_every_answer(port, sent, status):
    for repeated in (sent, sent):
        answer, _ = await answer_to(port, repeated)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_answers_on_one_connection_name_the_origin_of_each_request(port):
    """A proxy's connection carries requests of many pages."""
    client = await port.connect()
    mine = request("POST", "/api/publish", BODY, MINE, JSON)
    for sent, is_named in ((mine, True), (publish(1), False), (mine, True), (publish(1), False)):
        await client.send(sent)
        assert ("access-control-allow-origin" in (await client.answer()).headers) is is_named


# Content types ------------------------------------------------------------------------------------

NOT_JSON = [
    "text/plain",
    "text/plain; charset=application/json",
    "text/plain;application/json",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/jsonp",
    "text/json+x",
    "text/plain, application/json",
]
FORM = "application/x-www-form-urlencoded"


async def assert_mistyped(port, sent: bytes) -> None:
    client = await port.connect()
    await client.send(sent + publish(1))
    answer = await client.answer()
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), sent[:120]
    assert (answer.headers["accept"], answer.json["field"]) == ("application/json", "Content-Type")
    # The connection goes on.
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("said", NOT_JSON)
@pytest.mark.parametrize("page", [(), (MINE,), ("Sec-Fetch-Site: same-origin",)])
async def test_a_body_that_says_it_is_no_json_is_refused(port, said, page):
    await assert_mistyped(
        port, request("POST", "/api/publish", BODY, f"Content-Type: {said}", *page)
    )
    assert port.last_seq == 1


@pytest.mark.parametrize("said", [(), (f"Content-Type: {FORM}",), ("Content-Type:",)])
async def test_a_page_has_to_say_that_it_is_json_and_others_need_not(port, said):
    """Forms, and bytes without a type, are what a page may send without a preflight."""
    port.context.origins.is_any = True
    for page in (MINE, "Origin: null", "Sec-Fetch-Site: cross-site"):
        await assert_mistyped(port, request("POST", "/api/publish", BODY, page, *said))
    answer, _ = await answer_to(port, request("POST", "/api/publish", BODY, *said))
    assert answer.status == 200


@pytest.mark.parametrize(
    "said", ["application/json", "Application/JSON", "application/json; charset=utf-8",
             "application/json;x=y", "application/cloudevents+json"],
)  # fmt: skip
async def test_json_is_taken_whoever_sends_it(port, said):
    for page in ((), (MINE,)):
        sent = request("POST", "/api/publish", BODY, f"Content-Type: {said}", *page)
        answer, _ = await answer_to(port, sent)
        assert answer.status == 200


async def test_every_route_that_takes_a_body_refuses_one_that_is_no_json(port):
    document = create_api(port.context).openapi()
    routes = [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]
    assert len(routes) > 10
    for method, path in routes:
        await assert_mistyped(port, request(method, path, b"{}", "Content-Type: text/plain"))


async def test_the_type_of_no_body_does_not_matter(port):
    for sent in (
        request("GET", "/api/topics", None, "Content-Type: text/plain"),
        request("GET", "/api/topics", b"", MINE, "Content-Type: text/plain"),
    ):
        answer, _ = await answer_to(port, sent)
        assert answer.status == 200
