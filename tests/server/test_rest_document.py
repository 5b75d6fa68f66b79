import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conduit.server.rest.docs import render
from tests.server.rest_kit import Api, running_api

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


async def test_every_operation_is_described_with_its_errors_and_never_with_422(api: Api):
    document = await api.get("/openapi.json")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"], (method, path)
            assert "default" in operation["responses"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


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
