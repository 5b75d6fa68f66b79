import logging

import pytest

from conduit.cluster.links.frames import (
    FRAME_MAX_BYTES,
    Failure,
    Reply,
    Request,
    decode,
    message,
)
from conduit.cluster.links.requests import REQUESTS_MAX_COUNT, Asked, Requests, Served
from conduit.errors import (
    Conflict,
    InvalidRequest,
    LimitReached,
    OutcomeUnknown,
    Overloaded,
    StateError,
)


class Sent(list):
    """Frames that were put."""

    def __call__(self, frame: bytes) -> None:
        self.extend(decode(message([frame])))


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def requests(sent) -> Requests:
    return Requests(sent)


@pytest.fixture
def served(sent) -> Served:
    return Served(sent, "b")


def test_each_request_gets_its_answer_in_whatever_order_they_come(requests, sent):
    outcomes = {}
    for name in "abc":
        requests.ask(
            "k", name.encode(), 1.0, lambda outcome, name=name: outcomes.update({name: outcome})
        )
    ids = {each.body: each.id for each in sent}
    requests.replied(Reply(ids[b"c"], b"C"))
    requests.failed(Failure(ids[b"a"], "conflict", "no"))
    requests.replied(Reply(ids[b"b"], b"B"))
    assert (outcomes["b"], outcomes["c"]) == (b"B", b"C")
    assert isinstance(outcomes["a"], Conflict)
    assert len(requests) == 0


def test_a_second_answer_or_a_late_one_is_dropped(requests):
    outcomes = []
    requests.ask("k", b"", 1.0, outcomes.append)
    requests.replied(Reply(1, b"x"))
    requests.replied(Reply(1, b"y"))
    requests.ask("k", b"", 1.0, outcomes.append)
    assert requests.expire(1.0) == 1
    requests.replied(Reply(2, b"z"))
    assert outcomes[0] == b"x"
    assert isinstance(outcomes[1], OutcomeUnknown)
    assert len(outcomes) == 2


def test_an_answer_to_what_was_not_asked_breaks_the_protocol(requests):
    with pytest.raises(InvalidRequest):
        requests.replied(Reply(1, b"x"))
    with pytest.raises(InvalidRequest):
        requests.failed(Failure(1, "conflict", "no"))


def test_each_has_a_deadline_of_its_own(requests):
    told = []
    for until in (3.0, 1.0, 2.0):
        requests.ask("k", b"", until, lambda _, until=until: told.append(until))
    assert [requests.expire(now) for now in (0.5, 1.0, 1.5, 2.5, 3.0, 9.0)] == [0, 1, 0, 1, 1, 0]
    assert told == [1.0, 2.0, 3.0]


def test_so_many_may_be_open_and_no_more(requests, sent):
    for _ in range(REQUESTS_MAX_COUNT):
        requests.ask("k", b"", 1.0, lambda _: None)
    with pytest.raises(Overloaded):
        requests.ask("k", b"", 1.0, lambda _: None)
    requests.replied(Reply(1, b""))
    requests.ask("k", b"", 1.0, lambda _: None)
    assert len(sent) == REQUESTS_MAX_COUNT + 1


def test_one_that_is_too_large_was_not_asked(requests, sent):
    with pytest.raises(LimitReached):
        requests.ask("k", bytes(FRAME_MAX_BYTES), 1.0, lambda _: None)
    assert (len(requests), sent) == (0, [])
    requests.ask("k", b"", 1.0, lambda _: None)
    assert sent[0].id == 1


def test_when_the_link_goes_each_is_told_once_although_one_of_them_fails(requests, caplog):
    told = []

    def broken(_outcome):
        raise RuntimeError("a bug in who asked")

    requests.ask("k", b"", 1.0, broken)
    requests.ask("k", b"", 1.0, told.append)
    for _ in requests.end("the link is gone"):
        pass
    assert [str(each) for each in told] == ["the link is gone; what was asked may have been done"]
    assert isinstance(told[0], OutcomeUnknown)
    assert requests.expire(2.0) == 0
    assert list(requests.end("again")) == []
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


def test_what_is_asked_is_answered_once(served, sent):
    asked: list[Asked] = []
    served.received(Request(5, "k", b"body"), asked.append)
    assert (asked[0].kind, asked[0].body) == ("k", b"body")
    asked[0].reply(b"x")
    asked[0].reply(b"y")
    asked[0].fail(Conflict("no"))
    assert sent == [Reply(5, b"x")]


@pytest.mark.parametrize(
    ("error", "code"), [(Conflict("no"), "conflict"), (RuntimeError("bug"), "internal")]
)
def test_what_is_raised_is_the_answer(served, sent, caplog, error, code):
    def serve(_asked):
        raise error

    served.received(Request(1, "k", b""), serve)
    (failure,) = sent
    assert (failure.id, failure.code) == (1, code)
    # A bug is told here, and its text is not told there.
    assert bool(caplog.records) == (code == "internal")
    assert "bug" not in failure.text


def test_an_answer_that_is_too_large_is_an_error(served, sent):
    served.received(Request(1, "k", b""), lambda asked: asked.reply(bytes(FRAME_MAX_BYTES)))
    assert [(each.id, each.code) for each in sent] == [(1, "limit_reached")]


def test_more_than_may_wait_for_their_answers_are_refused(served, sent):
    for number in range(1, REQUESTS_MAX_COUNT + 2):
        served.received(Request(number, "k", b""), lambda _: None)
    assert [(each.id, each.code) for each in sent] == [(REQUESTS_MAX_COUNT + 1, "overloaded")]


def test_the_same_request_twice_breaks_the_protocol(served):
    served.received(Request(1, "k", b""), lambda _: None)
    with pytest.raises(InvalidRequest):
        served.received(Request(1, "k", b""), lambda _: None)


def test_when_the_link_is_gone_answers_go_nowhere(served, sent):
    asked: list[Asked] = []
    served.received(Request(1, "k", b""), asked.append)
    served.end()
    asked[0].reply(b"x")
    asked[0].fail(StateError("late"))
    assert sent == []
