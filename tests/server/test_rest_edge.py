import asyncio
import logging

import pytest

from conduit.grants import Grant
from conduit.server.rest import edge
from conduit.tenancy.principal import Principal
from tests.server.rest_kit import Api, refused, running_api

ORIGIN = "https://app.example"
# One request of each kind of answer: success, refusal, unknown address.
ANSWERS = [("GET", "/health", 200), ("POST", "/api/topics", 400), ("GET", "/nowhere", 404)]


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


def preflight(api: Api, **headers):
    asked = {"origin": ORIGIN, "access-control-request-method": "PATCH", **headers}
    return api.send("OPTIONS", "/api/topics/t", headers=asked)


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_has_a_request_id_the_clients_if_it_sent_one(
    api: Api, method, path, status
):
    answer = await api.send(method, path)
    assert answer.status_code == status
    assert len(answer.headers["x-request-id"]) >= 16
    answer = await api.send(method, path, headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    if status >= 400:
        assert answer.json()["request_id"] == "abc-1"


async def test_a_request_id_that_could_do_harm_is_replaced(api: Api):
    for harmful in ("a b", "x" * 200, '"', "é"):
        answer = await api.send("GET", "/health", headers={"x-request-id": harmful.encode()})
        assert answer.headers["x-request-id"] != harmful


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_every_answer_can_be_read_from_any_origin_by_default(api: Api, method, path, status):
    answer = await api.send(method, path, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_no_answer_is_kept_by_a_cache_or_taken_for_something_else(
    api: Api, method, path, status
):
    answer = await api.send(method, path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_preflight_is_answered_with_what_the_api_has(api: Api):
    answer = await preflight(api, **{"access-control-request-headers": "content-type,x-any"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, POST, PATCH, DELETE"
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "idempotency-key", "x-api-key"} < set(allowed)
    assert "x-any" not in allowed
    assert "access-control-allow-credentials" not in answer.headers


async def test_each_origin_is_named_to_its_pages_and_caches_are_told():
    other = "http://localhost:5173"
    async with running_api(cors_origin=f"{ORIGIN},{other}") as api:
        for origin in (ORIGIN, other):
            for answer in (
                await api.send("GET", "/health", headers={"origin": origin}),
                await preflight(api, origin=origin),
            ):
                assert answer.headers["access-control-allow-origin"] == origin
                assert answer.headers["vary"] == "Origin"
        answer = await api.send("GET", "/health")
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"


async def test_a_page_reaches_into_a_private_network_only_where_it_is_named(api: Api):
    asked = {"access-control-request-private-network": "true"}
    given = "access-control-allow-private-network"
    assert given not in (await preflight(api, **asked)).headers
    async with running_api(cors_origin=ORIGIN) as strict:
        assert (await preflight(strict, **asked)).headers[given] == "true"
        assert given not in (await preflight(strict)).headers


@pytest.mark.parametrize("path", ["/x", "/api", "/api/topics/", "/api/topics/a/b", "/API/TOPICS"])
async def test_an_unknown_path_is_404(api: Api, path):
    refused(await api.send("GET", path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/topics", "GET, HEAD, POST"),
        ("POST", "/api/topics/t", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/api/publish", "POST"),
        ("DELETE", "/health", "GET, HEAD"),
        # `redrive` could be the id of a dead letter as well.
        ("PATCH", "/api/dlq/redrive", "DELETE, GET, HEAD, POST"),
        ("OPTIONS", "/docs", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/ws", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_and_the_right_ones_are_named(api: Api, method, path, allowed):
    answer = await api.send(method, path)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


async def test_every_route_refuses_a_query_parameter_that_it_does_not_know(api: Api):
    routes = [
        (method, path)
        for path, operations in api.app.openapi()["paths"].items()
        for method in operations
    ]
    assert len(routes) > 20
    # Who may ask for everything.
    api.context.gate.nobody = Principal("default", "test", [Grant(scope="admin")])
    for method, path in routes:
        answer = await api.send(method.upper(), f"{path}?no_such_parameter=1", json={})
        assert answer.status_code == 400, (method, path)
        assert "no_such_parameter" in answer.text or method in ("post", "patch"), (method, path)


@pytest.mark.parametrize(
    ("method", "code"), [("GET", "store_unavailable"), ("DELETE", "outcome_unknown")]
)
async def test_a_request_that_waits_for_the_store_for_too_long_is_answered(
    api: Api, monkeypatch, method, code
):
    monkeypatch.setattr(edge, "ANSWER_TIMEOUT_S", 0.01)
    going_on, done = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        await going_on.wait()
        done.set()

    for call in ("dead_get", "dead_delete"):
        monkeypatch.setattr(api.context.broker.store, call, hang)
    path = "/api/dlq/0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"
    answer = await api.send(method, path, headers={"x-request-id": "find-me"})
    refused(answer, 503, code)
    assert answer.headers["x-request-id"] == "find-me"
    assert answer.headers["access-control-allow-origin"] == "*"
    # It goes on, and what it says is dropped.
    going_on.set()
    await done.wait()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_a_body_that_is_nested_too_deeply_is_called_that(api: Api, opening, closing):
    for path in ("/api/topics", "/api/subscriptions", "/api/dlq/redrive"):
        body = opening * 100_000 + "1" + closing * 100_000
        answer = await api.send("POST", path, content=body)
        refused(answer, 400, "json_too_deep")


async def test_the_depth_of_every_body_has_a_bound(api: Api):
    for depth, code in ((120, "unknown_field"), (200, "json_too_deep")):
        body = '{"x":' + "[" * depth + "]" * depth + "}"
        for method, path in (
            ("POST", "/api/topics"),
            ("PATCH", "/api/topics/t"),
            ("POST", "/api/subscriptions"),
            ("POST", "/api/publish"),
            ("POST", "/api/dlq/discard"),
        ):
            answer = await api.send(method, path, content=body)
            refused(answer, 400, code, "x" if code == "unknown_field" else None)


async def test_a_query_has_so_many_parameters_at_most(api: Api):
    for count, told in ((50, "unknown field"), (51, "more than 50 parameters"), (900, "more than")):
        query = "&".join(f"p{number}=1" for number in range(count))
        answer = await api.send("GET", f"/api/topics?{query}")
        assert answer.status_code == 400
        assert told in answer.json()["detail"]


async def test_a_bug_is_a_500_that_tells_nothing_and_a_traceback_in_the_log(
    api: Api, caplog, monkeypatch
):
    monkeypatch.setattr(api.context.broker, "topics", None)
    with caplog.at_level(logging.ERROR):
        answer = await api.send("GET", "/api/topics", headers={"x-request-id": "find-me"})
    detail = refused(answer, 500, "internal")
    assert "NoneType" not in answer.text
    assert "request id" in detail
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "find-me" in caplog.text
    assert "Traceback" in caplog.text
