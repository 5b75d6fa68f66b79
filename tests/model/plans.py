"""Which steps are tried.

A run chooses first which kinds of steps it has (as in swarm testing): one in which everything happens at
once rarely gets deep into anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from conduit.core.topics import matches
from tests.model.choices import Choices
from tests.model.runs import Setup
from tests.model.steps import Step
from tests.model.steps.consuming import (
    Drain,
    Join,
    Leave,
    Return,
    Settings,
    Settle,
    Start,
)
from tests.model.steps.disturbing import (
    Answer,
    Break,
    Keep,
    Mend,
    OtherClaims,
    Rest,
    Restart,
    SetClock,
    Wait,
)
from tests.model.steps.managing import Change, DeleteTopic, Letter, Letters, MakeTopic, Purge
from tests.model.steps.publishing import OtherNode, OtherTopic, Publish
from tests.model.stores import EVERY_CALL, Fault
from tests.model.world import SLOTS_COUNT, Away

T = TypeVar("T")

TOPICS = ("a.x", "a.y", "a.x.z", "b")
PATTERNS = ("a.*", "a.>", ">", "a.x", "b")
NAMES = ("s", "t")

STARTS = (
    None, None, "earliest", Start(back=2), Start(back=400), Start(back=-3),
    Start(back=1, is_of_another_epoch=True), Start(seconds_ago=2.0),
)  # fmt: skip
UPDATES = (
    (("max_in_flight", 1),), (("max_in_flight", 20),), (("max_attempts", 1),),
    (("ack_wait_ms", 250), ("max_ack_wait_ms", 500)),
)  # fmt: skip
AHEAD_S = (0.0, 3.0, -3.0, 3_600.0, -3_600.0, 30 * 86_400.0, -30 * 86_400.0)
BREAKABLE = (
    "read", "append", "settle", "read", "settle", "settle", "settle", "find", "progress", "former", "dead_of",
    "subscription_claim",
    "subscription_create", "topic_create", "topic_delete", "subscription_update", "subscription_delete",
    "seek", "trim",
)  # fmt: skip
FORGETFUL = (
    "settle", "subscription_create", "topic_create", "topic_delete", "seek", "subscription_update",
    "subscription_delete", "subscription_claim",
)  # fmt: skip


def _topics(choose: Choices) -> tuple[str, ...]:
    count = choose.of([1, 1, 1, 2, 3])
    return tuple(dict.fromkeys(choose.of(TOPICS) for _ in range(count)))


def _few(choose: Choices) -> Step:
    key = choose.of([None, None, None, None, "k", "l"])
    return Publish(
        _topics(choose), choose.of([1, 1, 2, 4]), key=key, is_batch=choose.of([False, True])
    )


def _many(choose: Choices) -> Step:
    return Publish(_topics(choose), choose.of([20, 70, 150, 300, 400]), is_batch=True)


def _large(choose: Choices) -> Step:
    size = choose.of([4_000, 40_000])
    return Publish(_topics(choose), choose.of([10, 40]), size, is_batch=True)


def _settings(choose: Choices) -> Settings:
    return Settings(
        window=choose.of([256, 1, 1, 2, 3, 10, 64, 300]),
        wait_ms=choose.of([1000, 250, 4000, 60_000]),
        attempts=choose.of([5, 1, 2, 3]),
        is_strict=choose.of([False, False, True]),
        is_auto=choose.of([False, False, False, True]),
        lost=choose.of([0, 1, 2, 3]),
    )


def _join(choose: Choices) -> Step:
    return Join(
        choose.below(SLOTS_COUNT),
        choose.of(PATTERNS),
        choose.of([None, choose.of(NAMES), choose.of(NAMES)]),
        choose.of(STARTS),
        _settings(choose),
        is_worker=choose.of([False, False, True]),
        budget=choose.of([None, None, None, 1, 5, 70]),
        prefetch=choose.of([None, None, None, 1, 3, 20]),
    )


def _leave(choose: Choices) -> Step:
    is_lost = choose.of([False, True])
    return Leave(choose.below(SLOTS_COUNT), is_lost, choose.of([None, None, None, 0, 1]))


def _drain(choose: Choices) -> Step:
    slot = choose.below(SLOTS_COUNT)
    return Drain(slot, choose.of([True, False]), choose.of([None, None, 3, 70]))


def _ack(choose: Choices) -> Step:
    return _settle(choose, ["ack", "ack", "ack", "through"], choose.of([1, 1, 1, 5, 300]))


def _fail(choose: Choices) -> Step:
    return _settle(choose, ["nack", "nack", "reject", "extend"], 1)


def _settle(choose: Choices, how: list[str], count: int) -> Step:
    return Settle(
        choose.below(SLOTS_COUNT),
        choose.of(how),
        choose.of([0, 0, 1, 2, 3, 20, 200]),
        count,
        choose.of([None, None, 0, 500, 3000]),
        is_late=choose.of([False, False, False, False, True]),
        is_named=choose.of([False, True]),
        has_ref=choose.of([True, False]),
        has_attempt=choose.of([False, False, True]),
    )


def _wait(choose: Choices) -> Step:
    return Wait(choose.of([None, None, 0.125, 1.0, 5.0, 70.0, 70.0, 500.0]))


def _change(choose: Choices) -> Step:
    how = choose.of(["pause", "resume", "resume", "seek", "seek", "delete", "update"])
    changes = choose.of(UPDATES) if how == "update" else ()
    return Change(choose.of(NAMES), how, changes, choose.of([0, 2, 5000]))


def _break(choose: Choices) -> Step:
    fault = choose.of([Fault.FAILS, Fault.HANGS, Fault.ANSWERS_LATE])
    return Break(choose.of(BREAKABLE), fault, choose.of([1, 1, 3, 1000]))


def _hold(choose: Choices) -> Step:
    return Break(
        EVERY_CALL, choose.of([Fault.HANGS, Fault.ANSWERS_LATE]), choose.of([1, 2, 5, 1000])
    )


def _make(choose: Choices) -> Step:
    keep, age_s = choose.of([None, None, None, 2, 40]), choose.of([None, None, None, 30])
    return MakeTopic(choose.of(TOPICS), keep, age_s)


def _away(choose: Choices) -> Step:
    away = Away(
        choose.of([0.0, 2.0, 20.0, 700.0]), choose.of([False, True]), choose.of([None, *AHEAD_S])
    )
    return Restart(choose.of([False, True]), choose.of([False, True]), away)


def _answer(choose: Choices) -> Step:
    return Answer(choose.of([0, 0, 1, 5]))


KINDS: dict[str, tuple[int, Callable[[Choices], Step]]] = {
    "few": (6, _few),
    "join": (6, _join),
    "ack": (6, _ack),
    "wait": (3, _wait),
    "make": (1, _make),
    "rest": (1, lambda choose: Rest()),
    "fail": (4, _fail),
    "leave": (2, _leave),
    "return": (2, lambda choose: Return(choose.below(SLOTS_COUNT), choose.of([True, True, False]))),
    "drain": (2, _drain),
    "many": (2, _many),
    "large": (1, _large),
    "other node": (2, lambda choose: OtherNode(choose.of(TOPICS), choose.of([1, 3]))),
    "other topic": (1, lambda choose: OtherTopic(choose.of(TOPICS), choose.of([1, 3]))),
    "unmake": (1, lambda choose: DeleteTopic(choose.of(TOPICS))),
    "change": (2, _change),
    "letter": (3, lambda choose: Letter(choose.below(6), choose.of([False, False, False, True]))),
    "letters": (1, lambda choose: Letters(choose.of([None, choose.of(NAMES)]))),
    "keep": (1, lambda choose: Keep()),
    "break": (3, _break),
    "hold": (2, _hold),
    "forget": (2, lambda choose: Break(choose.of(FORGETFUL), Fault.LOSES_ANSWER)),
    "claim": (1, lambda choose: OtherClaims(choose.of(NAMES))),
    "clock": (2, lambda choose: SetClock(choose.of(AHEAD_S))),
    "away": (1, _away),
    "stop": (1, lambda choose: Restart(is_crash=False)),
    "crash": (2, lambda choose: Restart(is_crash=True, is_mended=choose.of([False, True]))),
    "purge": (1, lambda choose: Purge(choose.of(TOPICS))),
}
HOLDING = ("break", "hold")
"""With these there are steps that let the store go on."""
ALWAYS = 6
"""The first so many kinds are in every run."""


class _Fewer:
    """Choices among fewer topics, patterns and names, so that what is done to them meets."""

    def __init__(self, choose: Choices) -> None:
        self._choose = choose
        topics = choose.of([TOPICS, TOPICS, ("a.x", "b"), ("b",)])
        patterns = tuple(one for one in PATTERNS if any(matches(one, topic) for topic in topics))
        names = choose.of([NAMES, NAMES[:1]])
        self._fewer: dict[Sequence[object], Sequence[object]] = {
            TOPICS: topics, PATTERNS: patterns, NAMES: names,
        }  # fmt: skip

    def of(self, options: Sequence[T]) -> T:
        """One of those that are left of them."""
        if isinstance(options, tuple):
            options = cast("Sequence[T]", self._fewer.get(options, options))
        return self._choose.of(options)

    def below(self, end: int) -> int:
        """A number from 0 on."""
        return self._choose.below(end)


def plan(choose: Choices, max_steps: int) -> list[Step]:
    """A list of steps, of some of the kinds."""
    choose = _Fewer(choose)
    share = choose.of([2, 1, 3])
    weighted: list[Callable[[Choices], Step]] = []
    for number, (kind, (weight, make)) in enumerate(KINDS.items()):
        if number < ALWAYS or choose.below(4) < share:
            weighted += [make] * weight
            if kind in HOLDING:
                weighted += [_answer, lambda choose: Mend()] * weight
    count = 1 + choose.below(max_steps)
    age_s = choose.of([None, None, None, None, 30, 300])
    beginning: list[Step] = [MakeTopic(name, age_s=age_s) for name in TOPICS[:3]]
    return beginning + [choose.of(weighted)(choose) for _ in range(count)]


def setup(choose: Choices) -> Setup:
    """On which store, and how small it is."""
    return Setup(
        max_messages=choose.of([1_000_000, 1_000_000, 100, 600]),
        max_letters=choose.of([100_000, 100_000, 1, 3]),
        max_waiting=choose.of([10_000, 10_000, 10_000, 4]),
    )
