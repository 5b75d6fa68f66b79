"""`/internal/`: for nodes of a cluster, which prove it by a secret; and what they may forward there."""

import pytest
from fastapi import APIRouter

from conduit.server.gate import Gate
from conduit.server.head import KNOWN_HEAD_MAX_BYTES, cut_credential, known_head
from conduit.server.rest.api import create_api
from conduit.tenancy.registry import Registry
from tests.server.port import open_port, publish, request
from tests.tenancy.registered import HandClock

SECRET = "a-secret-of-nodes"
PROOF = f"X-Internal-Secret: {SECRET}"
PATH = "/internal/served"


def make_app(context):
    app = create_api(context)
    router = APIRouter()

    @router.post(PATH)
    async def forward() -> dict[str, str]:
        return {"was": "served"}

    app.include_router(router)
    return app


@pytest.fixture(params=["open", "auth"])
async def port(request):
    async with open_port(make_app) as port:
        registry = None
        if request.param == "auth":
            registry = Registry(port.store, HandClock(), b"p" * 32)
        port.context.gate = Gate(registry)
        port.context.gate.internal_secrets = [SECRET]
        yield port


async def ask(port, path: str, *headers: str, method: str = "POST"):
    client = await port.connect()
    await client.send(request(method, path, b"{}", *headers))
    return await client.answer()


async def test_a_node_that_has_the_secret_is_served(port):
    answer = await ask(port, PATH, PROOF)
    assert (answer.status, answer.json) == (200, {"was": "served"})
    assert (await ask(port, PATH, f"x-internal-SECRET:   {SECRET}  ")).status == 200
    # What is not there is not there.
    assert (await ask(port, "/internal/nothing", PROOF)).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("X-Internal-Secret:",),
        ("X-Internal-Secret: a-secret-of-node",),
        ("X-Internal-Secret: a-secret-of-nodesx",),
        (f"X-API-Key: {SECRET}",),
        (f"Authorization: Bearer {SECRET}",),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/%69nternal/served", "/internal/nothing"])
async def test_nobody_else_is(port, headers, path):
    answer = await ask(port, path, *headers)
    assert (answer.status, answer.json["code"]) in ((403, "forbidden"), (401, "unauthenticated"))
    assert "served" not in answer.body.decode()


async def test_the_path_has_to_be_spelled_as_it_is(port):
    assert (await ask(port, "/%69nternal/served", PROOF)).status in (401, 403)


async def test_the_secret_of_nodes_is_good_for_nothing_else(port):
    if port.context.gate.is_open:
        # As for everybody.
        assert (await ask(port, "/api/topics", PROOF, method="PATCH")).status == 405
    else:
        assert (await ask(port, "/api/stats", PROOF, method="GET")).status == 401
        client = await port.connect()
        await client.send(publish(1, PROOF))
        assert (await client.answer()).status == 401


@pytest.mark.parametrize("headers", [(), (PROOF,), ("X-Internal-Secret: x",)])
async def test_without_a_secret_nothing_is_there(port, headers):
    port.context.gate.internal_secrets = []
    if port.context.gate.is_open:
        assert (await ask(port, PATH, *headers)).status == 404
    else:
        assert (await ask(port, PATH, *headers)).status in (401, 404)


async def test_the_secret_stays_in_no_cache_and_comes_once(port):
    raw = request("POST", PATH, b"", PROOF)
    bare, credential = cut_credential(raw)
    assert credential == b"internal " + SECRET.encode()
    assert SECRET.encode() not in bare
    assert len(raw) < KNOWN_HEAD_MAX_BYTES
    assert SECRET not in str(known_head(bare).headers)
    for other in (PROOF, "X-API-Key: x"):
        answer = await ask(port, PATH, PROOF, other)
        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
