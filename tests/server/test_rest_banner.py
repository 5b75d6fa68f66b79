"""What those learn of the node who are not its operators."""

import json

import pytest

from conduit import __version__
from conduit.grants import Grant
from conduit.server.gate import Gate
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry
from tests.server.rest_kit import Api, refused, running_api
from tests.tenancy.registered import HandClock

OPERATOR = Principal("default", "test", [Grant(scope="admin")])
TENANT = Principal("acme", "test", [Grant(scope="manage")])


@pytest.fixture
async def api():
    async with running_api() as api:
        registry = Registry(api.context.broker.store, HandClock(), b"p" * 32)
        api.context.gate = Gate(registry)
        yield api


@pytest.fixture(params=["nobody", "tenant"])
async def outsider(api: Api, request):
    if request.param == "tenant":
        api.context.gate.nobody = TENANT
    return request.param


async def test_who_is_no_operator_hears_that_it_runs_and_nothing_else(api: Api, outsider):
    assert await api.get("/health") == {"status": "ok"}
    assert await api.get("/health/ready") == {"status": "ready"}
    api.context.ready = False
    answer = await api.send("GET", "/health/ready")
    assert refused(answer, 503, "shutting_down") == "not ready"
    answer = await api.send("GET", "/metrics")
    if outsider == "nobody":
        refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    else:
        refused(answer, 403, "forbidden")


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/health", "/nowhere"])
async def test_no_answer_says_which_version_this_is(api: Api, outsider, path):
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        answer = await api.send(method, path)
        assert __version__ not in answer.text
        assert __version__ not in str(answer.headers)
        assert "server" not in answer.headers


async def test_the_documents_are_there_all_the_same(api: Api, outsider):
    assert "<title>Conduit</title>" in (await api.send("GET", "/docs")).text
    document = await api.get("/openapi.json")
    assert document["info"]["version"] == "-"
    assert "/api/publish" in document["paths"]


async def test_operators_hear_all(api: Api):
    api.context.gate.nobody = OPERATOR
    health = await api.get("/health")
    assert (health["version"], health["node_id"]) == (__version__, "node-1")
    assert (await api.get("/"))["version"] == __version__
    assert (await api.get("/openapi.json"))["info"]["version"] == __version__
    assert f"Conduit {__version__}" in (await api.send("GET", "/docs")).text
    answer = await api.send("GET", "/metrics")
    assert (answer.status_code, "conduit_ready 1" in answer.text) == (200, True)
    api.context.ready = False
    assert "stopping" in refused(await api.send("GET", "/health/ready"), 503, "shutting_down")


async def test_beside_a_port_for_operators_the_other_has_less(api: Api):
    api.context.open_to_operators()
    # Whoever is nobody hears of no address.
    api.context.gate.nobody = Principal("default", "test", [Grant(scope="publish")])
    elsewhere = await api.send("GET", "/nowhere")
    for path in ("/metrics", "/docs", "/openapi.json"):
        for method in ("GET", "HEAD", "POST"):
            answer = await api.send(method, path)
            assert answer.status_code == 404
            assert "allow" not in answer.headers
        # As any address that is none.
        answer = await api.send("GET", path)
        told = json.loads(answer.text.replace(path, "/nowhere"))
        assert told | {"request_id": ""} == elsewhere.json() | {"request_id": ""}
        assert answer.headers.keys() == elsewhere.headers.keys()
    index = await api.get("/")
    assert not {"docs", "openapi", "metrics", "version"} & index.keys()
    assert index["publish"] == "/api/publish"
