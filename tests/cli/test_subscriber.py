from __future__ import annotations

import click
import msgspec

from conduit.cli.subscriber import PAYLOAD_SHOWN_CHARS, gap_text, pretty
from conduit.client import GapAnswer, GapEvent
from conduit.protocol.frames import MessageFrame


def message(payload: bytes, **more: object) -> MessageFrame:
    return MessageFrame(
        "id", "orders", msgspec.Raw(payload), "2026-05-01T12:04:31.220Z", 1204, "e1", **more
    )


def shown(frame: MessageFrame, width: int = 80) -> list[str]:
    return click.unstyle(pretty(frame, width)).splitlines()


def test_a_message_is_a_line_about_it_and_its_payload() -> None:
    assert shown(message(b'{"id": 42}')) == [
        "12:04:31.220Z  orders #1204  10 B",
        '  {"id":42}',
    ]


def test_what_is_not_as_usual_is_said() -> None:
    frame = message(b"1", attempt=3, key="k\x1b", headers={"a": "\n"})
    assert shown(frame)[0] == ("12:04:31.220Z  orders #1204  attempt 3  1 B  key=k\\x1b  a=\\x0a")


def test_a_payload_that_does_not_fit_a_line_is_indented() -> None:
    assert shown(message(b'{"a": "long", "b": 2}'), width=12)[1:] == [
        "  {",
        '    "a": "long",',
        '    "b": 2',
        "  }",
    ]


def test_a_huge_payload_is_cut_and_says_how_to_see_it() -> None:
    text = pretty(message(b'"%b"' % (b"x" * 100_000)), 80)
    assert len(text) < PAYLOAD_SHOWN_CHARS + 200
    assert "-o jsonl shows all" in text


def test_a_gap_says_what_is_missing() -> None:
    assert gap_text(GapEvent("t", 3, 9, "retention")) == (
        "gap: t #3 to #9 cannot be given (removed by retention or a purge)"
    )
    assert "t #3 cannot be given" in gap_text(GapEvent("t", 3, 3, "retention"))
    assert gap_text(GapEvent("t", 363, 99_998, "log_lost")) == (
        "gap: t ends at #362, and #99999 was asked for; what is new comes (log_lost)"
    )
    beyond = ("t", 363, 99_998, "log_lost", "e1")
    assert gap_text(GapAnswer(*beyond, was_published=False)) == (
        "gap: t ends at #362, and #99999 was asked for, which was not published yet; what is new comes"
    )
    assert "has lost; what is new comes (log_lost)" in gap_text(GapAnswer(*beyond, True))
    # An older server does not say it.
    assert gap_text(GapAnswer(*beyond)) == gap_text(GapEvent(*beyond[:4]))
    assert "numbering" in gap_text(GapEvent("t", 3, None, "epoch_changed"))
    assert "may be missing" in gap_text(GapEvent(">", None, None, "positions_forgotten"))
