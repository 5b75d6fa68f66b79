from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.errors import InvalidRequest, LimitReached
from conduit.server.context import Limits
from conduit.server.framing import Framer, Phase
from conduit.server.head import Head
from conduit.tenancy.principal import Principal, make_anyone
from tests.server.port import chunked, publish, request

LIMITS = Limits(max_payload_bytes=2_000, max_batch_bytes=200_000)
ANYONE = make_anyone()
CHUNKED = "Transfer-Encoding: chunked"


def anyone(head: Head, credential: bytes | None) -> Principal:
    return ANYONE


def read(*parts: bytes, limits: Limits = LIMITS) -> list[bytes]:
    """The bodies of all requests in the parts, asked for after each part."""
    framer = Framer(limits)
    bodies = []
    for part in parts:
        if (body := framer.repeated(part)) is not None:
            bodies.append(body)
            continue
        framer.feed(part)
        while (found := framer.next_request(anyone)) is not None or framer.is_behind:
            if found is not None:
                bodies.append(found.body)
    return bodies


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


STREAM = b"".join(
    [
        request("POST", "/api/publish", b"one"),
        request("GET", "/health"),
        request("POST", "/api/topics", None, CHUNKED) + chunked(b"two\r\n\r\ntwo", 4, b"X: y\r\n"),
        b"\r\n",
        request("POST", "/api/publish", b"\r\n\r\n\r\n"),
        request("POST", "/api/publish/batch", b"x" * 100_000),
        request("POST", "/api/publish", None, CHUNKED) + chunked(b""),
        request("POST", "/api/publish", b""),
        request("PUT", "/last", b"last"),
    ]
)
BODIES = [b"one", b"", b"two\r\n\r\ntwo", b"\r\n\r\n\r\n", b"x" * 100_000, b"", b"", b"last"]


def test_requests_of_all_kinds_come_out_of_one_piece():
    assert read(STREAM) == BODIES


REPEATING = [
    request("POST", "/api/publish", b"one"),
    request("POST", "/api/publish", b"two"),
    request("POST", "/api/publish", b"four"),
    request("POST", "/api/other11", b"one"),
    request("POST", "/api/publish", None, CHUNKED) + chunked(b"six"),
    request("POST", "/api/publish", b"end"),
]


def test_a_head_that_repeats_is_known_by_its_bytes():
    framer = Framer(LIMITS)
    first, second, longer, other, _, last = REPEATING
    assert framer.repeated(first) is None
    framer.feed(first)
    head = framer.next_request(anyone).head
    assert framer.repeated(second) == b"two"
    assert framer.last_head is head
    assert len(other) == len(first)
    assert framer.repeated(other) is None
    assert framer.repeated(longer) is None
    assert framer.repeated(second + last) is None
    framer.feed(first[:20])
    assert framer.next_request(anyone) is None
    assert framer.repeated(second) is None


def test_a_body_that_looks_like_a_repeated_request_is_a_body():
    first = request("POST", "/api/publish", b"one")
    outer = request("POST", "/api/publish", first)
    head = outer.removesuffix(first)
    assert read(first, head, first, first) == [b"one", first, b"one"]


@given(st.lists(st.sampled_from(REPEATING)), st.lists(st.integers(0, 10_000)))
def test_repeating_requests_come_out_however_the_stream_is_cut(requests, cuts):
    stream = b"".join(requests)
    whole = read(stream)
    assert read(*split(stream, [at % (len(stream) + 1) for at in cuts])) == whole
    assert read(*requests) == whole


def test_requests_come_out_of_single_bytes():
    assert read(*(bytes([byte]) for byte in STREAM)) == BODIES


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_requests_come_out_however_the_stream_is_cut(cuts):
    assert read(*split(STREAM, cuts)) == BODIES


def test_requests_come_out_wherever_the_stream_is_cut_in_two():
    stream = STREAM.replace(b"x" * 100_000, b"x" * 10).replace(b": 100000", b": 10")
    bodies = [body[:10] for body in BODIES]
    for cut in range(len(stream)):
        assert [body[:10] for body in read(stream[:cut], stream[cut:])] == bodies


def test_what_was_fed_before_asking_is_not_lost():
    framer = Framer(LIMITS)
    for at in range(0, len(STREAM), 1000):
        framer.feed(STREAM[at : at + 1000])
    bodies = []
    while (found := framer.next_request(anyone)) is not None:
        bodies.append(found.body)
    assert bodies == BODIES


def test_equal_heads_are_parsed_once_and_mean_the_same():
    framer = Framer(LIMITS)
    framer.feed(publish(1) + publish(2))
    first, second = framer.next_request(anyone), framer.next_request(anyone)
    assert first.head is second.head
    assert first.body != second.body


def test_the_phase_says_what_is_incomplete():
    framer = Framer(LIMITS)
    assert framer.phase is Phase.IDLE
    whole = publish(1)
    framer.feed(whole[:10])
    assert framer.next_request(anyone) is None
    assert framer.phase is Phase.HEAD
    framer.feed(whole[10:-1])
    assert framer.next_request(anyone) is None
    assert framer.phase is Phase.BODY
    framer.feed(whole[-1:])
    assert framer.next_request(anyone) is not None
    assert framer.phase is Phase.IDLE


def test_a_connection_that_waits_keeps_nothing_of_what_it_has_read():
    framer = Framer(LIMITS)
    framer.feed(request("POST", "/api/publish/batch", b"x" * 100_000))
    assert framer.next_request(anyone) is not None
    assert framer.next_request(anyone) is None
    assert framer._data == b""


def test_what_follows_a_request_can_be_taken_out():
    framer = Framer(LIMITS)
    framer.feed(request("GET", "/ws") + b"\x81\x80 and more")
    framer.next_request(anyone)
    assert framer.take_rest() == b"\x81\x80 and more"
    assert framer.phase is Phase.IDLE
    assert framer.next_request(anyone) is None


# 100-continue -------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["Content-Length: 5", CHUNKED])
def test_a_client_that_waits_for_100_continue_is_noticed(framing):
    framer = Framer(LIMITS)
    framer.feed(request("POST", "/x", None, framing, "Expect: 100-continue"))
    assert framer.next_request(anyone) is None
    assert framer.expects_continue


def test_a_client_that_has_not_waited_for_100_continue_gets_none():
    framer = Framer(LIMITS)
    framer.feed(request("POST", "/x", None, "Content-Length: 5", "Expect: 100-continue") + b"h")
    assert framer.next_request(anyone) is None
    assert not framer.expects_continue
    framer.feed(b"ello")
    assert framer.next_request(anyone).body == b"hello"
    assert not framer.expects_continue


# Limits -------------------------------------------------------------------------------------------


def refused(*parts: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(LimitReached) as caught:
        read(*parts, limits=limits)
    return caught.value.code


def test_a_head_may_have_just_as_many_bytes_as_the_limit():
    head = request("GET", "/", None, "X: " + "x" * 500)
    assert read(head, limits=Limits(max_headers_bytes=len(head))) == [b""]
    assert refused(head, limits=Limits(max_headers_bytes=len(head) - 1)) == "headers_too_large"


def test_a_head_that_does_not_end_is_refused_when_it_passes_the_limit():
    begun = b"GET / HTTP/1.1\r\nX: "
    limits = Limits(max_headers_bytes=1_000)
    assert read(begun, *[b"x" * 100] * 9, limits=limits) == []
    assert refused(begun, *[b"x" * 100] * 10, limits=limits) == "headers_too_large"
    assert refused(begun + b"x" * 1_000, limits=limits) == "headers_too_large"


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/publish", LIMITS.max_frame_bytes),
        ("/api/anything", LIMITS.max_frame_bytes),
        ("/api/publish/batch", LIMITS.max_batch_bytes),
    ],
)
def test_a_body_is_refused_by_its_length_before_it_comes(path, limit):
    assert read(request("POST", path, b"x" * limit)) == [b"x" * limit]
    head = request("POST", path, None, f"Content-Length: {limit + 1}")
    assert refused(head) == "payload_too_large"
    assert refused(head + b"x" * (limit + 1)) == "payload_too_large"


def test_a_chunked_body_is_refused_when_it_passes_the_limit():
    head = request("POST", "/api/publish", None, CHUNKED)
    assert refused(head, *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 10) == "payload_too_large"
    # What is thrown away counts as well: extensions, trailers, the sizes of tiny chunks.
    limit = LIMITS.max_frame_bytes
    times = limit // 1_000 + 1
    assert refused(head + (b"1;" + b"x" * 1_000 + b"\r\nx\r\n") * times) == "payload_too_large"
    assert (
        refused(head + b"0\r\n" + (b"X: " + b"x" * 1_000 + b"\r\n") * times) == "payload_too_large"
    )
    assert refused(head + b"1\r\nx\r\n" * (limit // 6 + 1)) == "payload_too_large"


def test_a_body_full_of_empty_lines_is_read_in_reasonable_time():
    body = b"\r\n\r\n" * 5_000
    stream = request("POST", "/api/publish", None, CHUNKED) + chunked(body, len(body))
    assert read(stream) == [body]


@pytest.mark.parametrize(
    "body",
    [
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"g\r\n",
        b"\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\n\r\n\r\n",
        b"0\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_chunks_that_two_servers_could_read_differently_are_refused(body):
    with pytest.raises(InvalidRequest) as caught:
        read(request("POST", "/api/publish", None, CHUNKED) + body)
    assert caught.value.code == "invalid_request"
