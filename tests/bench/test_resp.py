import pytest

from bench import resp
from tests.bench.peer import scripted


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("PING",), b"*1\r\n$4\r\nPING\r\n"),
        (
            ("XADD", "é", b"\0\r\n", 12),
            b"*4\r\n$4\r\nXADD\r\n$2\r\n\xc3\xa9\r\n$3\r\n\0\r\n\r\n$2\r\n12\r\n",
        ),
    ],
)
def test_a_command_counts_its_words_and_their_bytes(words, expected):
    assert resp.command(*words) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"+PONG\r\n", b"PONG"),
        (b":-12\r\n", -12),
        (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
        (b"$0\r\n\r\n", b""),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n", [1, [b"x"], None]),
    ],
)
def test_answers_are_read_whole(answer, expected):
    with scripted((b"PING", answer + b"+next\r\n")) as port:
        client = resp.RedisClient(port)
        assert client.call("PING") == expected
        assert client.read() == b"next"
        client.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"-ERR no such key\r\n", "^ERR no such key$"),
        (b"", "connection ended"),
        (b"+PON", "connection ended"),
        (b"$5\r\nabc", "connection ended"),
        (b"*2\r\n:1\r\n", "connection ended"),
        (b"!what\r\n", "not an answer"),
    ],
)
def test_what_is_no_answer_is_an_error(answer, said):
    with scripted((b"PING", answer)) as port:
        client = resp.RedisClient(port)
        with pytest.raises(resp.RedisError, match=said):
            client.call("PING")
        client.close()


def entry(number: int) -> bytes:
    payload = b'{"n":%d,"order_id":"abc-123","amount":99.95}' % number
    return b"*2\r\n$5\r\n1-%03d\r\n*2\r\n$1\r\np\r\n$%d\r\n%b\r\n" % (number, len(payload), payload)


def test_the_log_is_read_in_order_and_in_parts(monkeypatch):
    monkeypatch.setattr(resp, "_RANGE_COUNT", 2)
    first = b"*2\r\n" + entry(1) + entry(2)
    turns = [(b"XLEN", b":3\r\n"), (b"XRANGE", first), (b"(1-002", b"*1\r\n" + entry(3))]
    with scripted(*turns) as port:
        expected = [(b"1-%03d" % number, b"%d" % number) for number in (1, 2, 3)]
        assert resp.read_log(port, "bench") == expected


def test_a_log_that_ends_early_is_an_error():
    turns = [(b"XLEN", b":2\r\n"), (b"XRANGE", b"*2\r\n" + entry(1))]
    with scripted(*turns) as port, pytest.raises(resp.RedisError, match="connection ended"):
        resp.read_log(port, "bench")
