import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from conduit.names import is_id
from conduit.server.rest.docs import render
from tests.server.rest_kit import Api, running_api
from tests.support.schemas import fits

GUIDE = Path(__file__).parents[2] / "docs" / "http-api.md"


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


async def test_every_reference_of_the_document_leads_to_a_record(api: Api):
    document = await api.get("/openapi.json")
    found = set(references(document))
    assert found
    for reference in found:
        place = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


async def test_who_is_first_to_ask_for_the_document_is_answered_as_are_others_with_him(api: Api):
    first = await asyncio.gather(*(api.send("GET", "/openapi.json") for _ in range(8)))
    assert [each.status_code for each in first] == [200] * 8
    assert len({each.text for each in first}) == 1


async def test_every_operation_is_described_with_its_errors_and_never_with_422(api: Api):
    document = await api.get("/openapi.json")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"], (method, path)
            assert "default" in operation["responses"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_where_nobody_is_asked_for_a_credential_the_document_asks_for_none(api: Api):
    document = await api.get("/openapi.json")
    assert "security" not in document
    assert "securitySchemes" not in document["components"]
    assert "Authorization" not in (await api.send("GET", "/docs")).text


async def test_the_page_names_every_operation_and_loads_nothing(api: Api):
    answer = await api.send("GET", "/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|<link|<img|src=|https?://", answer.text)
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            assert f'id="{method}-{path}"' in answer.text


async def test_every_link_of_the_page_leads_to_a_place_on_it(api: Api):
    page = (await api.send("GET", "/docs")).text
    places = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places


def test_the_page_escapes_what_it_shows():
    document = {
        "info": {"title": "<b>", "version": "1", "description": "<i>"},
        "paths": {},
        "components": {"schemas": {"<s>": {"description": "<u>"}}},
    }
    assert not re.search("<b>|<i>|<s>|<u>", render(document))


async def test_the_guide_has_every_operation(api: Api):
    guide = GUIDE.read_text()
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in guide, (method, path)


# Names --------------------------------------------------------------------------------------------

NAME_CODES = {"invalid_topic", "invalid_pattern", "invalid_name", "invalid_request"}
AN_ID = "0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a69"
TOPICS = ["a", "a.b", "-", "a" * 255, "", ".", "a..b", "a*", "a.>", "a b", "a\n", "é", "a" * 256]
BILLINGS = ["a", "a..b", "...", "a" * 255, "", "..", "a b", "a*", "a\n", "é", "a" * 256]
KEYS = ["a", " ", "\n", "é" * 255, "", "\0", "a" * 256]
# Of what cannot be in a path, or means another one, nothing is asked there.
NOT_IN_PATHS = {"", ".", ".."}


def body_of(shape: str, field: str, values: list[str], **others: Any) -> Any:
    """A request for each value of the field of a JSON body, beside what else it needs."""
    path = {
        "PublishRequest": "/api/publish",
        "NewTopic": "/api/topics",
        "NewSubscription": "/api/subscriptions",
        "Redrive": "/api/dlq/redrive",
        "Discard": "/api/dlq/discard",
    }[shape]
    return pytest.param(
        lambda document: document["components"]["schemas"][shape]["properties"][field],
        lambda value: ("POST", path, {"json": {**others, field: value}}),
        values,
        id=f"{shape}.{field}",
    )


def parameter_of(method: str, path: str, name: str, values: list[str]) -> Any:
    """The same for a parameter in the path or in the query."""

    def schema_in(document: Any) -> Any:
        parameters = document["paths"][path][method]["parameters"]
        return next(each["schema"] for each in parameters if each["name"] == name)

    def request(value: str) -> tuple[str, str, Any]:
        if f"{{{name}}}" in path:
            return method.upper(), path.replace(f"{{{name}}}", quote(value, safe="")), {}
        return method.upper(), path, {"params": {name: value}}

    if f"{{{name}}}" in path:
        values = [value for value in values if value not in NOT_IN_PATHS and "/" not in value]
    return pytest.param(schema_in, request, values, id=f"{method} {path} {name}")


@pytest.mark.parametrize(
    ("schema_in", "request_with", "values"),
    [
        body_of("PublishRequest", "topic", TOPICS, payload=1),
        body_of("PublishRequest", "key", KEYS, topic="t", payload=1),
        body_of("PublishRequest", "idempotency_key", KEYS, topic="t", payload=1),
        body_of("NewTopic", "name", TOPICS),
        body_of("NewSubscription", "name", BILLINGS, topic="t"),
        body_of("NewSubscription", "topic", [*TOPICS, "a.*", ">.a"], name="s"),
        body_of("Redrive", "topic", TOPICS, dry_run=True),
        body_of("Redrive", "subscription", BILLINGS, dry_run=True),
        body_of("Discard", "topic", TOPICS),
        body_of("Discard", "subscription", BILLINGS),
        parameter_of("get", "/api/dlq", "topic", TOPICS),
        parameter_of("get", "/api/dlq", "subscription", BILLINGS),
        parameter_of("get", "/api/topics/{name}", "name", TOPICS),
        parameter_of("delete", "/api/topics/{name}", "name", TOPICS),
        parameter_of("get", "/api/topics/{name}/messages", "name", TOPICS),
        parameter_of("get", "/api/subscriptions/{name}", "name", BILLINGS),
        parameter_of("post", "/api/subscriptions/{name}/pause", "name", BILLINGS),
    ],
)
async def test_the_grammar_of_a_name_in_the_document_is_that_of_the_server(
    api: Api, schema_in, request_with, values
):
    await api.topic("t")
    schema = schema_in(api.app.openapi())
    for value in values:
        method, path, parts = request_with(value)
        answer = await api.send(method, path, **parts)
        if fits(schema, value):
            assert answer.status_code != 400, (value, answer.text)
        else:
            assert answer.status_code == 400, (value, answer.text)
            assert answer.json()["code"] in NAME_CODES, (value, answer.text)


@pytest.mark.parametrize("value", ["a", "", "a" * 36, AN_ID.upper(), AN_ID])
async def test_what_is_no_id_in_the_document_is_never_found(api: Api, value):
    for path, operations in api.app.openapi()["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                is_other = path.startswith(("/api/keys", "/api/nodes"))
                if parameter["name"] == "id" and parameter["in"] == "path" and not is_other:
                    assert fits(parameter["schema"], value) == is_id(value)
                    if value:
                        answer = await api.send(method.upper(), path.replace("{id}", value))
                        assert answer.status_code == 404, (path, answer.text)


async def test_the_key_in_the_header_has_the_grammar_of_the_one_in_the_body(api: Api):
    document = api.app.openapi()
    (header,) = document["paths"]["/api/publish"]["post"]["parameters"]
    body = document["components"]["schemas"]["PublishRequest"]["properties"]["idempotency_key"]
    assert header["in"] == "header"
    assert header["schema"]["anyOf"] == [
        {**each, "type": "string"} if "pattern" in each else each for each in body["anyOf"]
    ]


async def test_every_name_and_id_in_a_path_has_a_grammar_and_an_example(api: Api):
    for path, operations in api.app.openapi()["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    schema = parameter["schema"]
                    assert fits(schema, schema["examples"][0]), path
