from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conduit.cli import sources
from conduit.cli.options import PubOptions
from conduit.cli.publisher import REQUEST_MAX_BYTES, Publisher, one_request, receipt_line
from conduit.cli.sources import GROUP_COUNT, Source
from conduit.cli.subscriber import Line
from conduit.client import AsyncConduit, Receipt, message
from conduit.errors import InvalidRequest
from conduit.protocol.frames import PublishRequest

NOTHING = {
    "topic": "t",
    "data": None,
    "files": (),
    "text": False,
    "messages": False,
    "count": None,
    "rate": None,
    "batch": 100,
    "key": None,
    "headers": (),
    "idempotency_key": None,
    "create": False,
    "output": None,
}


def options(**given: object) -> PubOptions:
    return PubOptions(**{**NOTHING, **given})


async def collect(options: PubOptions) -> list[PublishRequest]:
    return [request async for group in Source(options).messages() for request in group]


def payloads(requests: list[PublishRequest]) -> list[bytes]:
    return [bytes(request.payload) for request in requests]


async def test_data_goes_out_byte_for_byte_with_key_and_headers() -> None:
    text = '{"b": 1,\n "a": 0.1000}'
    (request,) = await collect(options(data=text, key="k", headers=(("a", "b"),)))
    assert bytes(request.payload) == text.encode()
    assert (request.topic, request.key, request.headers) == ("t", "k", {"a": "b"})


async def test_data_is_repeated_under_keys_of_its_own() -> None:
    count = GROUP_COUNT + 5
    requests = await collect(options(data="1", count=count))
    assert len({request.idempotency_key for request in requests}) == count


async def test_lines_of_a_file_are_messages_and_blank_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'1\n\n{"a": 2}\r\n  \n"three"')
    assert payloads(await collect(options(files=(str(file),)))) == [b"1", b'{"a": 2}', b'"three"']


async def test_text_is_sent_as_strings_blank_lines_too(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes('say "hi"\n\nGrüße\n'.encode())
    found = payloads(await collect(options(files=(str(file),), text=True)))
    assert found == [b'"say \\"hi\\""', b'""', '"Grüße"'.encode()]


async def test_whole_messages_go_to_their_own_topics(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(
        '{"message_id":"x","topic":"a","seq":7,"attempt":1,"payload":{"n":1},"key":"k"}\n'
        '{"topic":"b.c","payload":null,"headers":{"h":"v"}}\n'
    )
    first, second = await collect(options(topic=None, messages=True, files=(str(file),)))
    assert (first.topic, bytes(first.payload), first.key) == ("a", b'{"n":1}', "k")
    assert (second.topic, bytes(second.payload), second.headers) == ("b.c", b"null", {"h": "v"})


async def test_what_sub_prints_is_a_message_and_a_misspelt_field_is_not(tmp_path: Path) -> None:
    assert {*Line.__struct_fields__, "idempotency_key"} == set(sources._Line.__struct_fields__)
    file = tmp_path / "lines"
    file.write_text(
        '{"topic":"a","payload":1,"idempotency_key":"x"}\n{"topic":"a","payload":1,"foo":1}\n'
    )
    groups = Source(options(topic=None, messages=True, files=(str(file),))).messages()
    (known,) = await anext(groups)
    assert known.idempotency_key == "x"
    with pytest.raises(InvalidRequest, match=r"^line 2 of .* unknown field 'foo'$"):
        await anext(groups)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"topic":"t"}', "is not a message: payload is missing"),
        ("1", "is not a message: it must be an object, and is an integer"),
        (
            '{"topic":1,"payload":1}',
            "is not a message: topic: it must be a string, and is an integer",
        ),
        ('"caf\udce9"', "is not JSON: the text is not UTF-8"),
        ('{"a"', "is not JSON: the JSON ends before it is complete"),
    ],
)
async def test_what_is_wrong_with_a_line_is_said_in_words_for_people(
    line: str, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(line.encode(errors="surrogateescape"))
    with pytest.raises(InvalidRequest, match=f"{why}$"):
        await collect(options(topic=None, messages=True, files=(str(file),)))


@pytest.mark.parametrize("given", [{}, {"text": True}])
async def test_a_byte_order_mark_is_no_part_of_the_first_line(
    given: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "bom"
    file.write_bytes(b"\xef\xbb\xbf1\n2\n")
    found = payloads(await collect(options(**given, files=(str(file),))))
    assert [json.loads(each) for each in found] == (["1", "2"] if given else [1, 2])


@pytest.mark.parametrize("line", [b"{", b"hello", b"1 2", b"NaN", b'"\xff"', b"'x'", b"[1,]"])
async def test_what_is_not_json_is_refused_with_the_number_of_its_line(
    line: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"1\n" + line)
    with pytest.raises(InvalidRequest, match="line 2") as raised:
        await collect(options(files=(str(file),)))
    assert raised.value.code == "not_json"


@pytest.mark.parametrize("whole", [False, True])
async def test_a_line_that_is_nested_too_deeply_is_refused_by_its_number(
    tmp_path: Path, whole: bool
) -> None:
    deep = "[" * 3_000 + "]" * 3_000
    file = tmp_path / "lines"
    file.write_text(f'{{"topic":"a","payload":{deep}}}' if whole else deep)
    where = {"topic": None, "messages": True} if whole else {}
    with pytest.raises(InvalidRequest, match=r"line 1 of .* is nested too deeply") as raised:
        await collect(options(**where, files=(str(file),)))
    assert raised.value.code == "json_too_deep"


@pytest.mark.parametrize("line", ["1", "{}", '{"topic":"t"}', '{"topic":1,"payload":1}'])
async def test_what_is_not_a_message_is_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(line)
    with pytest.raises(InvalidRequest, match=r"line 1 of .* is not a message"):
        await collect(options(topic=None, messages=True, files=(str(file),)))


async def test_what_stands_before_a_bad_line_is_published(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"1\n2\n{\n3\n")
    groups = Source(options(files=(str(file),))).messages()
    assert payloads(await anext(groups)) == [b"1", b"2"]
    with pytest.raises(InvalidRequest, match="line 3"):
        await anext(groups)


async def test_what_is_not_utf_8_in_a_text_is_replaced_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes("Grüße\n".encode() + b"Gr\xfc\xdfe\n\xff\n")
    source = Source(options(files=(str(file),), text=True))
    found = [json.loads(bytes(one.payload)) async for group in source.messages() for one in group]
    assert found == ["Grüße", "Gr\ufffd\ufffde", "\ufffd"]
    assert source.replaced_count == 2
    given = Source(options(data="\udcff", text=True))
    assert [len(group) async for group in given.messages()] == [1]
    assert given.replaced_count == 1


ONE_VALUE = [
    '{\n  "a": [\n    1\n  ]\n}\n',
    "\n\n[\n1,\n2]",
    '{\r\n"topic":"t",\r\n"payload":1.10}',
]


@pytest.fixture(params=["file", "standard input"])
def given(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Puts a text where messages come from; returns its name."""
    file = tmp_path / "x.json"

    def put(text: str) -> str:
        file.write_bytes(text.encode())
        if request.param == "file":
            return str(file)
        # A pipe, of which nothing can be looked at beforehand.
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        # Not in the place of 0: who read there before may not have ended.
        monkeypatch.setattr(sources, "STDIN", reading)
        return "-"

    return put


@pytest.mark.parametrize("text", ONE_VALUE)
async def test_one_value_on_several_lines_is_one_message(
    text: str, given: Callable[[str], str]
) -> None:
    (payload,) = payloads(await collect(options(files=(given(text),))))
    assert payload == text.replace("\r", "").strip().encode()


async def test_a_whole_message_may_be_laid_out_too(given: Callable[[str], str]) -> None:
    whole = options(topic=None, messages=True, files=(given(ONE_VALUE[2]),))
    assert payloads(await collect(whole)) == [b"1.10"]


@pytest.mark.parametrize(
    "text", ['{\n"a": 1\n', "[\n1,\n]", '{\n"a": 1\n}\n{\n"a": 2\n}\n', '{"a": \n"b\nc"}']
)
async def test_what_is_neither_is_refused_by_its_name(
    text: str, given: Callable[[str], str]
) -> None:
    with pytest.raises(
        InvalidRequest, match=r"(x\.json'|standard input), of which .* is not JSON:"
    ) as raised:
        await collect(options(files=(given(text),)))
    assert raised.value.code == "not_json"


@pytest.mark.parametrize("line", ["hello", "[1,]", '"abc', '{"a": "b', "{}x", "{"])
async def test_a_first_line_that_no_other_could_mend_is_refused_as_that(
    line: str, given: Callable[[str], str]
) -> None:
    more = "" if line == "{" else "\n2\n"
    with pytest.raises(InvalidRequest, match=r"^line 1 ") as raised:
        await collect(options(files=(given(line + more),)))
    assert raised.value.code == "not_json"


async def test_a_value_on_several_lines_has_a_limit(
    given: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LINE_MAX_BYTES", 1_000)
    with pytest.raises(InvalidRequest, match="longer than 1,000 bytes"):
        await collect(options(files=(given("[\n" + "1,\n" * 20_000 + "2]"),)))


async def test_several_files_are_published_in_their_order(tmp_path: Path) -> None:
    texts = {"b": "1\n2\n", "a": "[\n3\n]", "c": "4\nx"}
    names = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        names.append(str(tmp_path / name))
    assert payloads(await collect(options(files=tuple(names[:2])))) == [b"1", b"2", b"[\n3\n]"]
    with pytest.raises(InvalidRequest, match=r"line 2 of .*/c"):
        await collect(options(files=tuple(names)))


@pytest.mark.parametrize("name", ["missing", "."])
async def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=name) as raised:
        await collect(options(files=(str(tmp_path / name),)))
    assert raised.value.code == "cannot_read"


@pytest.mark.parametrize("text", ["", "\n \n"])
async def test_that_there_was_nothing_to_publish_is_said(
    text: str, given: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncConduit("http://127.0.0.1:9") as client:
        await Publisher(options(files=(given(text),))).run(client)
    said = capsys.readouterr().err
    assert said.startswith("nothing is published: ")
    assert said.endswith(" had no message\n")


def test_a_request_holds_what_is_due_as_far_as_it_fits() -> None:
    group = [message("t", "x" * (REQUEST_MAX_BYTES // 3)) for _ in range(5)]
    assert one_request(group, 0, 1) == group[:1]
    assert one_request(group, 0, 5) == group[:2]
    assert one_request(group, 4, 5) == group[4:]


def test_a_message_that_is_too_large_goes_alone_and_the_server_says_so() -> None:
    group = [message("t", "x" * (REQUEST_MAX_BYTES + 1)), message("t", 1)]
    assert one_request(group, 0, 2) == group[:1]


def test_a_receipt_says_what_is_not_as_usual() -> None:
    receipt = Receipt("id", "t", 1, "2026-01-01T00:00:00.000Z", 7, "e", True, False)
    assert receipt_line(receipt) == "published  t #7  id"
    known = Receipt("id", "t", 1, "2026-01-01T00:00:00.000Z", 7, "e", True, True)
    assert receipt_line(known).endswith("duplicate")
    lost = Receipt("id", "t", 1, "2026-01-01T00:00:00.000Z", 7, "e", False, False)
    assert receipt_line(lost).endswith("in memory")
