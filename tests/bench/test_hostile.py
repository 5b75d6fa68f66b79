import dataclasses

import pytest

from bench import hostile, strangers
from bench.attacking import Sent
from bench.attacks import Then
from bench.bystanders import Asked, Seen
from bench.harness import problems
from bench.hostile import LEFT_MAX_FILES, Memory, Open, Size
from bench.tenants import Held
from conduit.load.checks import Checks

GOOD = {
    "neighbour_p99_ms": 50.0,
    "newcomer_max_ms": 200.0,
    "failed_count": 0.0,
    "not_ready_count": 0.0,
    "resident_before_mib": 80.0,
    "resident_peak_mib": 464.0,
    "resident_after_mib": 208.0,
    "known_mib": 64.0,
    "files_before_count": 100.0,
    "files_after_count": 116.0,
    "connections_left_count": 4.0,
    "websockets_left_count": 0.0,
    "unsigned_left_count": 0.0,
}
# The attack lasts from 10 to 20.
ATTACKED = (10.0, 20.0)


def publish(due: float, took_ms: float, status: int = 200, delivered: bool = True) -> Asked:
    return Asked(due, 0.1, took_ms, status, took_ms if delivered else None)


def newcomer(due: float, took_ms: float, status: int = 200, path: str = "/health") -> Asked:
    return Asked(due, 0.1, took_ms, status, path=path)


def outcome_of(publishes: list[Asked], newcomers: list[Asked], sent: Sent | None = None):
    seen = Seen([publish(5.0, 1.0), publish(15.0, 2.0), *publishes], [newcomer(15.0, 3.0)])
    seen.newcomers += newcomers
    memory = Memory(80.0, 90.0, 85.0)
    opened = Open(Held(90, 65, 1, 0), Held(200, 65, 101, 7), Held(91, 66, 1, 0))
    return hostile._outcome(seen, ATTACKED, memory, opened, sent or Sent(7, opened=1))


def test_at_their_bounds_all_limits_hold():
    assert hostile.broken(GOOD) == []


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        ("newcomer_max_ms", 201.0, "somebody new waited 201 ms (at most 200)"),
        ("neighbour_p99_ms", 51.0, "the neighbour's p99 was 51 ms (at most 50)"),
        ("failed_count", 2.0, "failed 2 times (at most 0)"),
        ("not_ready_count", 1.0, "not ready 1 times (at most 0)"),
        ("resident_peak_mib", 500.0, "memory grew by 420 MiB (at most 384)"),
        ("resident_after_mib", 214.0, "memory is still more by 70 MiB (at most 64)"),
        ("files_after_count", 117.0, "open files are still more by 17 (at most 16)"),
        ("connections_left_count", 5.0, "HTTP connections are still more by 5 (at most 4)"),
        ("websockets_left_count", 1.0, "WebSockets are still more by 1 (at most 0)"),
        ("unsigned_left_count", 1.0, "sockets that did not sign in are still there: 1 (at most 0)"),
    ],
)
def test_what_is_beyond_a_limit_is_said(figure, value, said):
    assert hostile.broken({**GOOD, figure: value}) == [said]


def test_what_was_due_before_the_attack_is_not_of_the_attack():
    outcome = outcome_of([publish(9.0, 900.0)], [newcomer(9.0, 900.0)])
    assert outcome.figures["neighbour_max_ms"] == 2
    assert outcome.figures["newcomer_max_ms"] == 3
    assert outcome.figures["quiet_p99_ms"] == 900
    assert outcome.figures["broken_limits_count"] == 0
    assert problems(outcome) == []


def test_what_was_due_after_it_is_in_the_maxima_only():
    outcome = outcome_of([publish(21.0, 900.0)], [newcomer(21.0, 800.0)])
    assert outcome.figures["neighbour_p99_ms"] == 2
    assert outcome.figures["neighbour_max_ms"] == 900
    assert outcome.figures["newcomer_p99_ms"] == 3
    assert outcome.figures["newcomer_max_ms"] == 800
    assert outcome.figures["broken_limits_count"] == 1


def test_who_is_refused_or_gets_no_answer_has_failed_and_readiness_counts_apart():
    outcome = outcome_of(
        [publish(15.0, 1.0, 503, delivered=False), publish(16.0, 1.0, 0, delivered=False)],
        [newcomer(16.0, 1.0, 503), newcomer(16.0, 1.0, 503, "/health/ready")],
    )
    assert outcome.figures["failed_count"] == 3
    assert outcome.figures["not_ready_count"] == 1
    assert outcome.checks == Checks(2, 2, 0, 0, 0)


def test_what_was_answered_and_never_delivered_is_lost():
    assert problems(outcome_of([publish(15.0, 1.0, delivered=False)], [])) == ["1 lost"]


def test_what_came_after_it_was_refused_is_not_lost():
    assert outcome_of([publish(15.0, 1.0, 503)], []).checks == Checks(2, 3, 0, 0, 0)


def test_an_attack_that_did_nothing_is_no_attack():
    assert problems(outcome_of([], [], Sent())) == ["nothing was attacked"]


NO_TIME = Size(quiet_s=0.3, attack_s=0.5, after_s=0.3, letters=0, tokens=3)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "name", ["empty pings", "300 KB each, then closed", "unfinished messages", "silent connections"]
)
def test_bystanders_of_an_attack_lose_nothing(name):
    outcome = hostile._run("sqlite", name, short=True, size=NO_TIME)
    # Of large ones none may be whole in so short a time.
    assert outcome.figures["sent_mib"] + outcome.figures["opened_connections"] > 0
    assert outcome.figures["quiet_p99_ms"] > 0
    assert outcome.checks.lost == outcome.checks.duplicates == 0


@pytest.mark.e2e
@pytest.mark.parametrize(
    "name",
    [
        "headers at a byte a second",
        "half-open: never signed in",
        "half-open: gone without a word",
        "all come back, with keys",
        "all come back, with auth frames",
        "subscribers that never read",
        "wrong keys",
        "large tokens in turn",
        "forged tokens of a provider",
    ],
)
def test_another_tenant_loses_nothing_to_strangers_and_all_that_came_is_gone(name):
    attack = strangers.named(name, short=True)
    # Who vanishes is missed four seconds later: not before the attack ends.
    attack_s = 3.0 if attack.then is Then.VANISH else 2.0
    size = dataclasses.replace(NO_TIME, attack_s=attack_s, after_s=2.0)
    outcome = hostile._run("sqlite", name, short=True, size=size)
    figures = outcome.figures
    assert figures["opened_connections"] > 0
    if attack.websocket and attack.then in (Then.HOLD, Then.VANISH):
        # The neighbour's is one.
        assert figures["websockets_then_count"] > 1
    assert figures["websockets_left_count"] == figures["unsigned_left_count"] == 0
    assert figures["files_after_count"] <= figures["files_before_count"] + LEFT_MAX_FILES
    assert figures["failed_count"] == 0
    assert outcome.checks.lost == outcome.checks.duplicates == 0
