from __future__ import annotations

import unicodedata
from types import SimpleNamespace

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.cli import (
    audit,
    context,
    dlq,
    key,
    letter_jobs,
    output,
    subscription,
    tenant,
    topic,
)
from conduit.cli.output import duration_text, json_text, printable, size_text, table
from conduit.cli.width import columns
from conduit.client import Grant, LettersMeant, Retention


def plain(lines: list[str]) -> list[str]:
    return [click.unstyle(line) for line in lines]


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    lines = table(["NAME", "COUNT"], [["orders", "1,204"], ["a", "7"], ["b", "-"]])
    assert plain(lines) == [
        "NAME    COUNT",
        "orders  1,204",
        "a           7",
        "b           -",
    ]


def test_columns_that_do_not_fit_the_terminal_go_on_below_and_none_is_cut() -> None:
    rows = [["01a20504-9c11", "orders", "1,520", "no funds", "no"]]
    headings = ["ID", "TOPIC", "SEQ", "REASON", "REDRIVEN"]
    assert plain(table(headings, rows, width=28)) == [
        "ID             TOPIC     SEQ",
        "  REASON    REDRIVEN",
        "01a20504-9c11  orders  1,520",
        "  no funds  no",
    ]
    assert len(table(headings, rows, width=48)) == 2


def test_a_cell_that_is_too_long_for_the_terminal_ends_with_an_ellipsis() -> None:
    lines = plain(table(["ID", "REASON"], [["y" * 20, "x" * 50]], width=20))
    assert lines == ["ID", "  REASON", "y" * 20, f"  {'x' * 17}…"]


def test_the_widest_names_are_cut_and_figures_never() -> None:
    headings = ["NAME", "TOPIC", "LAG", "SIZE"]
    rows = [["n" * 20, "t" * 30, "1,234,567", "12.5 KiB"], ["n", "t", "1", "0 B"]]
    assert plain(table(headings, rows, width=48)) == [
        "NAME           TOPIC               LAG  SIZE",
        f"{'n' * 12}…  {'t' * 11}…  1,234,567  12.5 KiB",
        "n              t                     1  0 B",
    ]
    assert len(table(headings, rows, width=30)) == 9
    assert len(table(headings, rows)[1]) == 73


def test_of_what_goes_on_below_a_part_is_shown() -> None:
    """As `dlq ls` at 80 columns: two lines for each letter."""
    headings = ["ID", "TOPIC", "SEQ", "SUBSCRIPTION", "ATTEMPTS", "REASON", "REDRIVEN", "DIED"]
    row = ["i" * 36, "orders", "5", "billing", "1", "x" * 200, "no", "d" * 24]
    lines = plain(table(headings, [row], width=80))
    assert len(lines) == 4
    assert f"{'x' * 31}…" in lines[3]
    assert plain(table(headings, [row], width=200))[1].endswith("…  no        " + "d" * 24)


def test_columns_stand_below_each_other_where_characters_are_wide() -> None:
    rows = [["客户的卡被拒绝了 because of insufficient funds", "no"], ["e\u0301te\u0301", "yes"]]
    wide = plain(table(["REASON", "DONE"], rows))
    assert [
        columns(line[: line.index(end)])
        for line, end in zip(wide, ("DONE", "no", "yes"), strict=True)
    ] == [48] * 3
    for width in range(20, 60):
        lines = plain(table(["REASON", "DONE"], rows, width=width))
        assert max(map(columns, lines)) <= width
        assert len(lines) == 3


def test_a_table_without_rows_is_its_heading() -> None:
    assert plain(table(["NAME", "COUNT"], [])) == ["NAME  COUNT"]


@given(st.text())
def test_text_for_people_cannot_steer_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char) == "Cc" for char in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\x0ab\\x0d\\x09c"),
        ("\x9b31m", "\\x9b31m"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("Grüße 你好 🎉", "Grüße 你好 🎉"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_cannot_steer_a_terminal_and_means_the_same() -> None:
    value = {"text": "\x1b[31m \x9b31m \u202e \x7f"}
    text = json_text(value)
    assert text.isprintable()
    assert msgspec.json.decode(text) == value


def test_payloads_keep_their_digits_on_one_line() -> None:
    raw = msgspec.Raw(b'{\n  "big": 9007199254740993,\n  "small": [0.1000, 1e400]\n}')
    assert json_text({"payload": raw}) == (
        '{"payload":{"big":9007199254740993,"small":[0.1000,1e400]}}'
    )


@pytest.mark.parametrize("indent", [False, True])
def test_a_payload_that_is_nested_too_deeply_to_be_laid_out_is_shown_as_it_is(indent: bool) -> None:
    deep = "[\r\n" * 3_000 + '"\x9b31m"' + "]" * 3_000
    text = json_text({"payload": msgspec.Raw(deep.encode())}, indent=indent)
    shown = deep.replace("\r\n", "  ").replace("\x9b", "\\u009b")
    assert text == f'{{"payload":{shown}}}'


def test_records_in_json_are_one_document_and_in_jsonl_one_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_all([{"a": 1}, {"a": 2}], {}, "json")
    assert msgspec.json.decode(capsys.readouterr().out) == [{"a": 1}, {"a": 2}]
    output.show_all([{"a": 1}, {"a": 2}], {}, "jsonl")
    assert capsys.readouterr().out == '{"a":1}\n{"a":2}\n'


def test_no_records_are_an_empty_list_for_programs_and_a_note_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_all([], {}, "json")
    assert capsys.readouterr().out == "[]\n"
    output.show_all([], {"NAME": str}, "table")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "none\n")


def test_values_of_a_record_are_shown_as_people_write_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"none": None, "flag": True, "count": 1234567, "rate": 0.12345, "text": "\x1b["}
    output.show_one(values, {name: lambda row, name=name: row[name] for name in values}, "table")
    cells = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert cells == ["-", "yes", "1,234,567", "0.1", "\\x1b["]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_sizes_have_the_unit_that_fits(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (90, "90s"), (3600, "1h"), (604800, "7d")]
)
def test_durations_are_whole(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


NAME = "n" * 120
BIG = 1_234_567_890
TABLES = {
    "topic ls": (
        topic._COLUMNS,
        SimpleNamespace(
            name=NAME,
            first_seq=1,
            last_seq=BIG,
            stored_bytes=1023 << 40,
            subscriber_count=BIG,
            retention=Retention(
                max_age_s=3650 * 86_400, max_messages=1_000_000_000, max_bytes=10**12
            ),
        ),
        {"LAST SEQ", "STORED", "SIZE", "SUBSCRIBERS", "KEPT"},
    ),
    "subscription ls": (
        subscription._COLUMNS,
        SimpleNamespace(
            **dict.fromkeys(("name", "topic"), NAME),
            **dict.fromkeys(("subscribers", "lag", "in_flight_count"), BIG),
            **dict.fromkeys(("pending_retry_count", "dead_count"), BIG),
            paused=True,
            full=False,
        ),
        {"STATE", "SUBSCRIBERS", "LAG", "IN FLIGHT", "RETRYING", "DEAD"},
    ),
    "subscription topics": (
        subscription._PLACES,
        SimpleNamespace(topic=NAME, floor=BIG, last_seq=BIG, lag=BIG),
        {"FLOOR", "LAST SEQ", "LAG"},
    ),
    "dlq ls": (
        dlq._COLUMNS,
        SimpleNamespace(
            id="01a20504-9c11-7abc-8def-0123456789ab",
            topic=NAME,
            seq=BIG,
            subscription=NAME,
            attempts=BIG,
            reason=NAME,
            redriven_at="2026-11-28T12:00:00.000Z",
            died_at="2026-11-28T12:00:00.000Z",
        ),
        {"ID", "SEQ", "ATTEMPTS", "REDRIVEN", "DIED"},
    ),
    "dlq jobs": (
        {**letter_jobs._JOBS, **letter_jobs._AT},
        SimpleNamespace(
            id="01a20504-9c11-7abc-8def-0123456789ab",
            action="redrive",
            state="cancelled",
            which=LettersMeant(topic=NAME, subscription=NAME, reason=NAME),
            **dict.fromkeys(("redriven_count", "matched_count", "failed_count"), 100_000),
            discarded_count=0,
            rate_per_s=10_000.0,
            started_at="2026-11-28T12:00:00.000Z",
            node="n" * 63,
        ),
        {"ID", "ACTION", "STATE", "DONE", "MATCHED", "FAILED", "RATE", "STARTED"},
    ),
    "key ls": (
        key._COLUMNS,
        SimpleNamespace(
            id="abcd1234",
            name=NAME,
            scopes=[Grant(scope="subscribe", topics=(NAME,), subscriptions=(NAME,))],
            expires_at="9999-11-28T12:00:00.000Z",
            last_used_at="2026-11-28T12:00:00.000Z",
            revoked_at=None,
            rotating_until="9999-11-28T12:00:00.000Z",
        ),
        {"ID", "STATE", "EXPIRES", "LAST USED"},
    ),
    "tenant ls": (
        tenant._COLUMNS,
        SimpleNamespace(
            name="n" * 63,
            usage=SimpleNamespace(
                **dict.fromkeys(("topics", "subscriptions", "connections"), BIG),
                **dict.fromkeys(("dead_letters", "keys"), BIG),
                stored_bytes=1023 << 40,
            ),
        ),
        {"TOPICS", "SUBSCRIPTIONS", "CONNECTIONS", "SIZE", "DEAD", "KEYS"},
    ),
    "audit": (
        audit._COLUMNS,
        SimpleNamespace(
            at="2026-11-28T12:00:00.000Z",
            action="subscription.delete",
            target=NAME,
            actor=f"token:{NAME}",
            address="2001:db8:85a3:8d3:1319:8a2e:370:7348",
            detail={"text": NAME},
            tenant="n" * 63,
        ),
        {"AT", "ACTION", "ADDRESS"},
    ),
    "context ls": (
        context._COLUMNS,
        context.Shown(NAME, f"https://{NAME}.example", "ck_live_abcd1234_…", "n" * 63, True),
        {"IN USE", "KEY"},
    ),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", range(20, 120, 5))
def test_in_the_tables_of_all_commands_names_are_cut_and_figures_never(
    name: str, width: int
) -> None:
    getters, record, whole = TABLES[name]
    cells = {heading: output._cell(get(record)) for heading, get in getters.items()}
    lines = plain(table(list(cells), [list(cells.values())], width=width))
    shown = " ".join(lines[len(lines) // 2 :])
    for heading in whole:
        assert cells[heading] in shown
    for line in lines:
        # What is wider than the terminal stands alone.
        assert columns(line) <= width or line.strip() in cells.values()
