from __future__ import annotations

import re

import msgspec
import pytest

from conduit.cli.template import FIELDS, Template
from conduit.protocol.frames import MessageFrame


def message(payload: str, **more: object) -> MessageFrame:
    raw = msgspec.Raw(payload.encode())
    return MessageFrame("id", "orders", raw, "2026-05-01T12:04:31.220Z", 1204, "e1", **more)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{topic} #{seq} {payload}", 'orders #1204 {"a":9007199254740993}'),
        (r"{seq}\t{key}\n\\n", "1204\tk\n\\n"),
        ("{{{seq}}} {{seq}}", "{1204} {seq}"),
        ("{headers}|{subscription}", "a=b c=d|"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_fields_stand_where_their_names_were(template: str, line: str) -> None:
    frame = message('{"a": 9007199254740993}', key="k", headers={"a": "b", "c": "d"})
    assert Template(template).of(frame) == line


@pytest.mark.parametrize("template", ["{nope}", "{", "}", "{seq", "{seq.real}", "{}", "{seq!r}"])
def test_what_is_no_field_is_refused_with_those_that_are(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{published_at\}"):
        Template(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{topic", "'{topic' lacks its '}', and a brace that is meant is written '{{'"),
        ("a {nope} b", "'{nope}' is none of {topic}"),
        ("{seq.real}", "'{seq.real}' is none of {topic}"),
        ("{seq} }", "'}' ends no field, and one that is meant is written '}}'"),
    ],
)
def test_a_brace_that_cannot_be_used_is_told_with_what_is_wrong(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        Template(template)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ('"say \\"hi\\""', 'say "hi"'),
        ("[1, 2]", "[1,2]"),
        ("[" * 3_000 + "]" * 3_000, "[" * 3_000 + "]" * 3_000),
        ('"two\\nlines \\u001b[2J"', "two\\x0alines \\x1b[2J"),
    ],
)
def test_a_payload_that_is_a_string_can_be_shown_as_its_text(payload: str, text: str) -> None:
    assert Template("{text}").of(message(payload)) == text


def test_every_field_of_a_message_can_be_shown() -> None:
    assert set(FIELDS) == {*MessageFrame.__struct_fields__, "text"}
