import json
import socket
from itertools import pairwise, permutations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from bench import wire
from conduit.load.checks import Checks
from tests.bench.frames import parsed

FRAME = b'\x81\x7e\0\x99{"type":"message","seq":1,"payload":%b,"key":null}'


def message(number: int) -> bytes:
    """As Conduit sends it, as far as it matters."""
    return FRAME % (wire.PAYLOAD % number)


def fed(*reads: bytes, first: int = 0) -> wire.Sequence:
    sequence = wire.Sequence(first)
    for data in reads:
        sequence.feed(data)
    return sequence


def numbers(*each: int) -> bytes:
    return b"".join(message(number) for number in each)


def test_what_arrives_whole_and_in_order_is_good():
    assert fed(numbers(*range(50))).checks(50) == Checks(50, 50, 0, 0, 0)


def test_a_sequence_may_begin_anywhere():
    assert fed(numbers(7, 8, 9), first=7).checks(3) == Checks(3, 3, 0, 0, 0)
    assert fed(numbers(8, 9), first=7).checks(3) == Checks(3, 2, 1, 0, 0)
    assert fed(numbers(7), first=7).checks(3) == Checks(3, 1, 2, 0, 0)


@pytest.mark.parametrize(
    ("arrived", "expected"),
    [
        ((), Checks(4, 0, 4, 0, 0)),
        ((0, 1, 2), Checks(4, 3, 1, 0, 0)),
        ((1, 2, 3), Checks(4, 3, 1, 0, 0)),
        ((0, 3), Checks(4, 2, 2, 0, 0)),
        ((0, 1, 1, 2, 3), Checks(4, 5, 0, 1, 0)),
        ((0, 1, 2, 3, 0), Checks(4, 5, 0, 1, 0)),
        ((0, 2, 1, 3), Checks(4, 4, 0, 0, 1)),
        ((3, 0, 1, 2), Checks(4, 4, 0, 0, 3)),
        ((0, 2, 1, 1, 3), Checks(4, 5, 0, 1, 1)),
        ((0, 2, 2), Checks(4, 3, 2, 1, 0)),
        ((0, 1, 2, 3, 99), Checks(4, 5, 95, 0, 0)),
    ],
)
def test_loss_duplicates_and_disorder_are_seen(arrived, expected):
    assert fed(numbers(*arrived)).checks(4) == expected
    assert fed(*map(message, arrived)).checks(4) == expected


def test_a_fault_does_not_hide_what_follows():
    sequence = fed(numbers(0, 2), numbers(3, 4), numbers(4))
    assert sequence.checks(6) == Checks(6, 5, 2, 1, 0)


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=3))
def test_every_order_but_one_is_disorder(order, again):
    checks = fed(numbers(*order, *again)).checks(6)
    assert (checks.lost, checks.duplicates) == (0, len(again))
    assert (checks.disordered == 0) == (list(order) == sorted(order))


def test_reads_may_cut_numbers_anywhere():
    data = numbers(*range(8, 13))
    for cut in range(len(data) + 1):
        sequence = fed(data[:cut], data[cut:], first=8)
        assert sequence.checks(5) == Checks(5, 5, 0, 0, 0), cut
    bytewise = fed(*(data[at : at + 1] for at in range(len(data))), first=8)
    assert bytewise.checks(5) == Checks(5, 5, 0, 0, 0)


@given(st.lists(st.integers(0, 800), max_size=6))
def test_faults_are_the_same_however_reads_are_cut(cuts):
    data = numbers(0, 1, 3, 3, 2, 5, 6)
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    sequence = fed(*(data[begin:end] for begin, end in pairwise(at)))
    assert sequence.checks(7) == Checks(7, 7, 1, 1, 1)


def test_feeding_says_how_many_messages_ended():
    data, sequence = numbers(0, 1), wire.Sequence()
    assert [sequence.feed(data[:-60]), sequence.feed(data[-60:]), sequence.feed(b"")] == [1, 1, 0]


def test_what_is_kept_for_the_next_read_is_bounded():
    for data in (b"x" * 1000, message(1), message(1) + b"x" * 1000, b""):
        assert len(wire.after_last(data, wire.NUMBER.findall(data))) <= 64
        assert len(wire.acks_for(data)[1]) <= 64


@pytest.mark.parametrize("order", list(permutations((b"0", b"1", b"2"))))
def test_marks_ask_for_each_once_in_any_order(order):
    marks = wire.Marks()
    for number in order:
        marks.add([number])
    assert marks.checks(3) == Checks(3, 3, 0, 0, 0)


def test_marks_see_loss_and_duplicates():
    marks = wire.Marks(first=5)
    marks.add([b"5", b"6"])
    marks.add([b"6", b"8"])
    assert marks.checks(4) == Checks(4, 4, 1, 1, 0)
    assert wire.Marks().checks(2) == Checks(2, 0, 2, 0, 0)


def test_a_mark_that_was_not_due_stands_for_no_other():
    marks = wire.Marks()
    marks.add([b"0", b"9"])
    assert marks.checks(2).lost == 1


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frames_of_every_length_are_what_the_standard_says(size):
    payload = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    frames = parsed(wire.text_frame(payload) + wire.binary_frame(payload))
    assert [(frame.opcode, frame.data, frame.fin) for frame in frames] == [
        (Opcode.TEXT, payload, True),
        (Opcode.BINARY, payload, True),
    ]


def test_a_pong_is_a_frame():
    assert [(frame.opcode, frame.data) for frame in parsed(wire.PONG)] == [(Opcode.PONG, b"")]


IDS = [f"0190a0a0-5bf7-7c3e-8a4e-2f1d3c4b5a{number:02x}" for number in range(5)]
DELIVERED = "".join(
    f'\x01{{"type":"message","message_id":"{identity}","topic":"t","payload":{{"n":1}}}}'
    for identity in IDS
).encode()


def acked(data: bytes) -> list[str]:
    commands = [json.loads(frame.data) for frame in parsed(data)]
    assert all(command.keys() == {"type", "message_id"} for command in commands)
    assert all(command["type"] == "ack" for command in commands)
    return [command["message_id"] for command in commands]


def test_each_message_is_acked_once_wherever_reads_are_cut():
    for cut in range(len(DELIVERED) + 1):
        first, rest = wire.acks_for(DELIVERED[:cut])
        second, _ = wire.acks_for(rest + DELIVERED[cut:])
        assert acked(first + second) == IDS, cut


def test_a_read_without_messages_has_no_acks():
    assert wire.acks_for(b'{"type":"subscribed"}')[0] == b""


def test_a_request_is_one_whole_request():
    bodies, requests = [], []

    class Seen:
        def on_url(self, url):
            requests.append(url)

        def on_body(self, body):
            bodies.append(body)

        def on_message_complete(self):
            requests.append(b"end")

    parser = httptools.HttpRequestParser(Seen())
    parser.feed_data(wire.request("/api/publish", b'{"a":"\xc3\xa9"}'))
    assert requests == [b"/api/publish", b"end"]
    assert bodies == [b'{"a":"\xc3\xa9"}']
    assert parser.get_method() == b"POST"


def test_a_poll_gives_what_arrived_to_whom_it_is_for():
    poll, seen = wire.Poll(), []
    (one, far_one), (two, far_two) = socket.socketpair(), socket.socketpair()
    with one, far_one, two, far_two:
        poll.add(one, lambda data: seen.append(("one", data)))
        poll.add(two, lambda data: seen.append(("two", data)))
        poll.once(0)
        assert (poll.count, seen) == (2, [])
        far_two.sendall(b"x")
        poll.once(5)
        assert seen == [("two", b"x")]
        far_one.close()
        with pytest.raises(RuntimeError, match="closed by the server"):
            poll.once(5)
