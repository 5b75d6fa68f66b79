"""The schedule of an open loop, its messages, and the answers to them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from conduit.errors import ConduitError
from conduit.load.plan import SIZE_MIN_BYTES, Plan
from conduit.load.system import Conduit, Publisher
from conduit.load.wire import Target

PLAN = Plan(
    system=Conduit(Target(1), Target(1)),
    topic="t",
    rate=1_000,
    seconds=2.0,
    warm_up_s=0.5,
    publishers=4,
    subscribers=1,
    size_bytes=256,
    run="a1",
)
OK = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\nX-A: b\r\n\r\n{"message_id":1}'
BUSY = b'HTTP/1.1 429 Too Many\r\nContent-Length: 23\r\n\r\n{"code":"rate_limited"}'


def test_a_message_is_due_at_its_time_however_late_others_were():
    assert [PLAN.due_ns(5, number) for number in (0, 1, 1_000)] == [5, 1_000_005, 1_000_000_005]
    slow = dataclasses.replace(PLAN, rate=0.5)
    assert slow.due_ns(0, 3) == 6_000_000_000


def test_a_run_takes_the_time_that_was_asked_for_however_many_publish():
    assert PLAN.count == 2_500
    assert dataclasses.replace(PLAN, seconds=1.9995).count == 2_500
    few = dataclasses.replace(PLAN, rate=10, publishers=256)
    assert few.due_ns(0, few.count) == int(few.warm_up_s + few.seconds) * 10**9 + 500_000_000
    assert dataclasses.replace(PLAN, rate=0.1, warm_up_s=0.0, seconds=30.0).count == 3


def test_no_more_messages_are_sent_than_was_allowed():
    assert [dataclasses.replace(PLAN, max_messages=most).count for most in (10, 3)] == [10, 3]


@pytest.mark.parametrize("size", [SIZE_MIN_BYTES, 256, 4096])
def test_a_payload_is_json_of_the_size_that_was_asked_for(size):
    plan = dataclasses.replace(PLAN, size_bytes=size)
    payload = plan.payload(9_999_999, 255, 10**15)
    assert len(payload) == size
    told = json.loads(payload)
    assert (told["n"], told["from"], told["due"]) == (9_999_999, 255, 10**15)
    (found,) = plan.fields.findall(b'..."payload":' + payload + b',"seq":1}')
    assert found == (b"9999999", b"255", b"1000000000000000")
    assert not dataclasses.replace(plan, run="b2").fields.findall(payload)


class _Unconnected(Publisher):
    """One that only reads answers."""

    def __init__(self) -> None:
        self._rest = b""


@pytest.mark.parametrize("cut", range(len(OK) + len(BUSY)))
def test_answers_are_found_wherever_a_read_ends(cut):
    publisher, data = _Unconnected(), OK + BUSY + OK
    assert publisher.answers(data[:cut]) + publisher.answers(data[cut:]) == ["", "rate_limited", ""]


def test_an_answer_without_a_length_or_a_code_is_no_success():
    with pytest.raises(ConduitError, match="no Content-Length"):
        _Unconnected().answers(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")
    assert _Unconnected().answers(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n") == ["http_502"]


def test_a_200_that_names_no_message_is_no_success():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
    assert _Unconnected().answers(page + OK) == ["bad_answer", ""]


def test_a_key_is_not_shown():
    assert "ck_live" not in repr(Target(1, headers="Authorization: Bearer ck_live_x\r\n"))
