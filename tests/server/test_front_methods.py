"""Every address of the port, asked with every method."""

import pytest

from conduit.server.rest.api import create_api
from tests.server.port import Client, open_port, request
from tests.server.test_front_head import addresses

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND", "QUERY")


@pytest.fixture
async def port():
    async with open_port(create_api) as port:
        yield port


async def ask(client: Client, method: str, path: str, *headers: str):
    await client.send(request(method, path, b"", *headers))
    return await client.answer(has_body=method != "HEAD")


async def test_a_method_is_refused_where_allow_does_not_name_it_and_nowhere_else(port):
    client = await port.connect()
    paths = [*addresses(create_api(port.context)), "/api/publish?x=1", "/ws?x=1"]
    paths.remove("/nowhere")
    for path in paths:
        answers = {method: await ask(client, method, path) for method in METHODS}
        refused = {method for method, answer in answers.items() if answer.status == 405}
        taken = ", ".join(sorted(set(METHODS) - refused))
        assert {"PUT", "OPTIONS", "TRACE"} <= refused, path
        assert {answers[method].headers["allow"] for method in refused} == {taken}, path
        assert ("HEAD" in taken) == ("GET" in taken), path
        assert not any("allow" in answers[method].headers for method in set(METHODS) - refused)
        assert {answer.status for answer in answers.values()} & {500, 501} == set(), path


async def test_an_unknown_address_is_404_with_every_method(port):
    client = await port.connect()
    for method in METHODS:
        answer = await ask(client, method, "/nowhere")
        assert (answer.status, "allow" in answer.headers) == (404, False)


async def test_a_preflight_is_answered_at_every_address(port):
    client = await port.connect()
    asked = ("Origin: https://app.example", "Access-Control-Request-Method: PATCH")
    for path in addresses(create_api(port.context)):
        answer = await ask(client, "OPTIONS", path, *asked)
        assert (answer.status, answer.body) == (204, b""), path
        allowed = answer.headers["access-control-allow-methods"]
        assert allowed == "GET, POST, PATCH, DELETE", path
