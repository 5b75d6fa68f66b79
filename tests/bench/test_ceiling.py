"""The ladder of `bench ceiling`: when a step holds, and that none follows one that does not."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from bench import ceiling
from bench.harness import Moot, Outcome, problems
from conduit.load.histogram import Latencies
from conduit.load.publishing import Sent


def sent(
    *,
    latency_ms: float = 5.0,
    refused: int = 0,
    unanswered: int = 0,
    late_ms: float = 0.1,
    in_time: int = 100,
    broken: str = "",
) -> Sent:
    stored, late = Latencies(), Latencies()
    for _ in range(100 - refused - unanswered):
        stored.record(int(latency_ms * 1e6))
        late.record(int(late_ms * 1e6))
    codes = Counter({"overloaded": refused} if refused else {})
    return Sent(
        count=100,
        measured=100,
        late=late,
        stored=stored,
        answered=100 - unanswered,
        codes=codes,
        refused=[],
        held_s=0.0,
        seconds=1.0,
        cores=0.5,
        in_time=in_time,
        settled=[100 - unanswered],
        unanswered=[unanswered],
        broken=broken,
    )


@pytest.mark.parametrize(
    ("given", "stored", "holds", "wrong"),
    [
        (sent(), 100, 1, []),
        (sent(latency_ms=251), 100, 0, []),
        (sent(refused=1), 99, 0, []),
        (sent(unanswered=1), 100, 0, []),
        (sent(unanswered=1), 99, 0, []),
        (sent(), 99, 1, ["1 lost"]),
        (sent(), 101, 1, ["1 duplicates"]),
        (sent(broken="the server has gone"), 100, 0, ["the server has gone"]),
        (sent(late_ms=30), 100, 1, ["1 % of the publishes left more than 30 ms late"]),
    ],
)
def test_a_step_holds_if_none_fails_and_all_is_in_time(given, stored, holds, wrong):
    outcome = ceiling.outcome(given, stored, 0.5, 1.0)
    assert (outcome.figures["holds"], problems(outcome)) == (holds, wrong)


def test_a_load_that_leaves_in_time_was_not_the_limit_however_busy_it_is():
    busy = dataclasses.replace(sent(), cores=1.0)
    assert problems(ceiling.outcome(busy, 100, 0.5, 1.0)) == []


def test_what_is_answered_when_the_step_is_over_is_not_in_its_rate():
    assert ceiling.outcome(sent(in_time=40), 100, 0.5, 1.0).figures["stored_per_s"] == 40


def test_no_step_follows_one_that_does_not_hold_until_the_next_round(monkeypatch):
    ladder = ceiling.Ladder("memory")
    asked = []

    def measured(_server: object, rate: int, _seconds: float) -> Outcome:
        asked.append(rate)
        return ceiling.outcome(sent(refused=int(rate >= 15_000)), 100, 0.5, 1.0)

    monkeypatch.setattr(ceiling, "_measured", measured)
    monkeypatch.setattr(ceiling, "_server", lambda *_: ceiling.directory())
    ladder.step(10_000, 1)
    ladder.step(15_000, 1)
    with pytest.raises(Moot):
        ladder.step(20_000, 1)
    ladder.step(10_000, 1)
    assert asked == [10_000, 15_000, 10_000]


def test_no_step_follows_one_that_breaks(monkeypatch):
    def breaks(*_: object) -> Outcome:
        raise RuntimeError("the load has ended")

    ladder = ceiling.Ladder("memory")
    monkeypatch.setattr(ceiling, "_measured", breaks)
    monkeypatch.setattr(ceiling, "_server", lambda *_: ceiling.directory())
    with pytest.raises(RuntimeError):
        ladder.step(10_000, 1)
    with pytest.raises(Moot):
        ladder.step(15_000, 1)
