"""What several readers of a topic have to have until they have read it."""

from __future__ import annotations

import dataclasses

import pytest

from conduit.load.catching_up import CaughtUp, Crowd, Own, Reading, _Reader
from conduit.load.checks import Checks, Sequence
from conduit.load.wire import Target
from tests.load.test_plan import PLAN

READING = Reading(
    Target(1), "t", "earliest", last_seq=8, subscribers=2, seconds=1.0, subscription="s"
)
ALONE = dataclasses.replace(READING, subscription=None)


class Reader(_Reader):
    """One that only looks at frames."""

    def __init__(self, reading: Reading, first: int = 1) -> None:
        self.first, self.end, self.count, self.last_seq = first, first, 0, 0
        self.seqs: list[int] = []
        self.gaps = self.bytes_read = self._news_at = 0
        self.own = [Sequence() for _ in reading.own.due] if reading.own else []
        self._fields = reading.own.fields if reading.own else None
        self._rest = b""

    def has(self, *seqs: int, payload: bytes = b"1") -> None:
        for seq in seqs:
            frame = b'{"type":"message","topic":"t","payload":%b,"at":"x","seq":%d,"epoch":"e"}'
            text = frame % (payload, seq)
            self._look(b"\x81\x7e" + len(text).to_bytes(2, "big") + text)


def ended(crowd: Crowd) -> CaughtUp:
    return crowd.caught_up(0.0, 0.1)


def test_those_who_share_have_read_when_they_have_everything_not_when_one_has_the_last():
    one, other = Reader(READING), Reader(READING, first=3)
    crowd = Crowd([one, other], READING)
    one.has(1, 2, 8)
    other.has(4, 5, 6, 7)
    assert not crowd._is_done()
    assert (ended(crowd).checks, ended(crowd).not_reached) == (Checks(8, 7), 1)
    other.has(3)
    assert crowd._is_done()
    assert ended(crowd).checks == Checks(8, 8, 0, 0, 1)


def test_what_is_published_meanwhile_stands_for_nothing_that_was_there():
    one, other = Reader(READING), Reader(READING)
    crowd = Crowd([one, other], READING)
    one.has(*range(1, 8), 9, 10)
    assert not crowd._is_done()
    assert (ended(crowd).checks.seen, ended(crowd).count) == (7, 9)


def test_each_who_reads_alone_has_to_have_all():
    one, mute = Reader(ALONE), Reader(ALONE)
    crowd = Crowd([one, mute], ALONE)
    one.has(*range(1, 9))
    assert not crowd._is_done()
    caught = ended(crowd)
    assert (caught.checks, caught.not_reached, caught.messages) == (Checks(16, 8), 8, 8)


@pytest.mark.parametrize("reading", [READING, ALONE])
def test_no_more_is_read_than_was_asked_for(reading: Reading):
    few = dataclasses.replace(reading, max_messages=3)
    one, other = Reader(few), Reader(few)
    crowd = Crowd([one, other], few)
    one.has(1, 2, 3)
    if reading is ALONE:
        other.has(1, 2, 3)
    assert crowd._is_done()
    assert (ended(crowd).messages, ended(crowd).not_reached) == (3, 0)


def test_the_messages_of_a_run_are_found_among_others():
    reading = dataclasses.replace(ALONE, own=Own(PLAN.fields, [2, 1]))
    reader = Reader(reading)
    crowd = Crowd([reader], reading)
    reader.has(1, payload=PLAN.payload(0, 0, 5))
    reader.has(2, 3)
    reader.has(4, payload=dataclasses.replace(PLAN, run="b2").payload(0, 1, 5))
    reader.has(5, payload=PLAN.payload(0, 0, 5))
    caught = ended(crowd)
    assert caught.own == Checks(expected=3, seen=2, lost=2, duplicates=1)
    assert caught.own_missing == [(0, 1, 2), (1, 0, 1)]
