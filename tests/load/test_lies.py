"""The k6 scripts do not hold where a server says what is not so."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.load.lying import Lie, Mistaking, Payload, Server, answering
from tests.load.running import Result, Size, Target, run, running

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

ACKNOWLEDGED = "http_reqs{scenario:publish,kind:publish,status:200}"
LOAD = {"RATE": 60, "P95_MS": 10_000, "PRE_VUS": 10, "MAX_VUS": 10}
# One cannot publish as much.
TOO_MUCH = {"RATE": 2_000, "P95_MS": 10_000, "PRE_VUS": 1, "MAX_VUS": 1}
AT = 20
REFUSED = 503


def honest(server: Server, _: int, payload: Payload) -> tuple[int, int]:
    return 200, server.store(payload)


def loses(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    return (200, server.next_seq) if number == AT else honest(server, number, payload)


def refuses(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    """One it stores, and one it does not."""
    if number == AT + 1:
        server.store(payload)
    return (REFUSED, 0) if number in (AT, AT + 1) else honest(server, number, payload)


def refuses_late(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    """Those whose publishers have no other turn."""
    return (REFUSED, 0) if number in (57, 58) else honest(server, number, payload)


def makes_up(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    """As many are stored as were acknowledged."""
    if number == AT + 1:
        return REFUSED, server.store(payload)
    return loses(server, number, payload)


def repeats(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    if number == AT:
        server.store(payload, seq=server.next_seq + 1)
        return 200, server.store(payload, seq=server.next_seq - 2)
    return honest(server, number, payload)


def repeats_an_id(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    return 200, server.store(payload, name=f"id-{AT}" if number == AT else None)


def misnumbers(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    status, seq = honest(server, number, payload)
    return status, seq + (number == AT)


def reorders(server: Server, number: int, payload: Payload) -> tuple[int, int]:
    """One goes behind all that come after it."""
    return 200, server.store(payload, seq=len(server.log) + (1_000 if number == AT else 1))


def broken(result: Result) -> set[str]:
    """The names of the thresholds that do not hold."""
    return {
        name for name, each in result.metrics.items() if any(each.get("thresholds", {}).values())
    }


@pytest.mark.parametrize(
    ("script", "lie", "expected"),
    [
        ("sustained", honest, set()),
        ("sustained", loses, {"lost", "misnumbered"}),
        ("sustained", repeats, {"stored_twice"}),
        ("sustained", repeats_an_id, {"stored_twice"}),
        ("sustained", misnumbers, {"misnumbered"}),
        ("sustained", reorders, {"stored_out_of_order"}),
        ("node-failure", refuses, set()),
        ("node-failure", refuses_late, set()),
        ("node-failure", makes_up, {"lost", "misnumbered"}),
    ],
)
def test_what_is_not_as_acknowledged_is_noticed(script: str, lie: Lie, expected: set[str]):
    with answering(Server(lie)) as url:
        result = run(script, Target(url), Size(1, {script: LOAD}))
    assert (result.code, broken(result)) == (99 if expected else 0, expected), result.text
    if "lost" in expected:
        assert result.metrics["lost"]["count"] == 1
        assert "lost: message " in result.text


@pytest.mark.parametrize("script", ["sustained", "node-failure"])
def test_publishes_that_never_leave_are_errors(script):
    with answering(Server(honest)) as url:
        result = run(script, Target(url), Size(1, {script: TOO_MUCH}))
    assert (result.code, broken(result)) == (99, {ACKNOWLEDGED}), result.text


def test_the_next_message_names_what_got_no_receipt():
    with answering(server := Server(refuses)) as url:
        result = run("node-failure", Target(url), Size(3, {"node-failure": LOAD}))
    assert (result.code, server.told_count) == (0, 0), result.text
    named = [each["unanswered"] for _, each in server.log.values() if "unanswered" in each]
    assert [len(each) for each in named] == [1, 1]


def test_nodes_of_which_none_is_ready_do_not_hold():
    with answering(Server(honest, ready_status=503)) as url:
        result = run("node-failure", Target(url), Size(1, {"node-failure": LOAD}))
    assert (result.code, broken(result)) == (99, {"ready_checks"}), result.text


@pytest.fixture
def mistaking() -> Iterator[str]:
    with running("sqlite") as target:
        port = urlsplit(target.url).port
        assert port is not None
        with Mistaking(port).running() as url:
            yield url


def test_fewer_messages_than_are_due_or_another_one_do_not_hold(mistaking):
    settings = {**TOO_MUCH, "SUBSCRIBERS": 2, "SUBSCRIBED_S": 2}
    result = run("fanout", Target(mistaking), Size(1, {"fanout": settings}))
    assert (result.code, broken(result)) == (99, {ACKNOWLEDGED, "not_as_stored"}), result.text
    assert result.metrics["not_as_stored"]["count"] == 1
