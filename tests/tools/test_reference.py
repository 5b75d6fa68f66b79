"""What is made of the program for `docs/reference` is current, and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from conduit.protocol.codes import CODES
from conduit.protocol.frames import Gap, MessageFrame, PublishRequest, StartAt, Subscribe
from tools.reference import FOLDER
from tools.reference.asyncapi import document
from tools.reference.errors import ADVICE, error_page
from tools.reference.files import made
from tools.reference.frames import frame_page
from tools.reference.schemas import CLIENT, SERVER, tag

DOCUMENT = document()
WIRES = {"HTTP", "WebSocket", "close", "start"}


@pytest.mark.parametrize("name", made())
def test_what_is_in_the_repository_is_what_would_be_made(name: str) -> None:
    assert (FOLDER / name).read_text() == made()[name], "make reference, and commit what changed"


def test_each_code_has_advice_and_a_wire_and_no_other_has() -> None:
    assert set(ADVICE) == set(CODES)
    assert {wire for advice in ADVICE.values() for wire in advice.wires.split(", ")} == WIRES
    assert all(name in error_page() for name in CODES)


def test_a_code_that_comes_only_as_a_close_code_has_one() -> None:
    assert all(CODES[name].close for name, advice in ADVICE.items() if advice.wires == "close")


def pointed(reference: str) -> Any:
    """What stands in the document where a `$ref` says. Raises KeyError."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(value: Any) -> Iterator[str]:
    """All that a part of a document points to."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_what_the_document_points_to_is_in_it() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 60
    for each in found:
        pointed(each)


def test_each_frame_is_a_message_of_the_channel_and_of_the_operation_in_its_direction() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for name, action, kinds in (("fromClient", "receive", CLIENT), ("toClient", "send", SERVER)):
        operation = DOCUMENT["operations"][name]
        assert operation["action"] == action
        messages = [pointed(pointed(each["$ref"])["$ref"]) for each in operation["messages"]]
        assert [each["name"] for each in messages] == [tag(kind) for kind in kinds]


@pytest.mark.parametrize(
    "value",
    [
        Subscribe(
            topic="orders.>", subscription="billing", start=StartAt(seq=7, epoch="e"), max_lost=None
        ),
        MessageFrame("id", "t", msgspec.Raw(b'{"a":1}'), "2026-01-01T00:00:00.000Z", 1, "e"),
        Gap("t", 1, None, "epoch_changed", "e"),
        PublishRequest(topic="t", payload=msgspec.Raw(b"1"), headers={"a": "b"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_on_the_wire_is_as_its_schema_says_and_another_field_is_not(value: Any) -> None:
    schemas = {
        "$ref": f"#/components/schemas/{type(value).__name__}",
        "components": DOCUMENT["components"],
    }
    wire = msgspec.json.decode(msgspec.json.encode(value))
    jsonschema_rs.validate(schemas, wire)
    del wire["topic"]
    assert not jsonschema_rs.is_valid(schemas, wire)


def test_each_field_of_each_frame_is_in_its_table() -> None:
    text = frame_page()
    for kind in CLIENT + SERVER:
        section = re.search(rf"^### `{tag(kind)}`\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
        assert section is not None
        fields = re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE)
        assert fields == [each.encode_name for each in msgspec.structs.fields(kind)]
