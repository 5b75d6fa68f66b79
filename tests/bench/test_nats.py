import pytest

from bench import nats
from tests.bench.peer import scripted

HELLO = (b"PING\r\n", b"INFO {}\r\nPONG\r\n")


@pytest.mark.parametrize(
    ("head", "groups"),
    [
        (b"MSG a.b 1 5\r\n", (b"a.b", b"1", None, None, b"5")),
        (b"MSG a.b 1 _INBOX.7 5\r\n", (b"a.b", b"1", b"_INBOX.7", None, b"5")),
        (b"HMSG a.b 1 12 17\r\n", (b"a.b", b"1", None, b"12", b"17")),
        (b"HMSG a.b 1 _INBOX.7 12 17\r\n", (b"a.b", b"1", b"_INBOX.7", b"12", b"17")),
        (
            b"MSG a 1 $JS.ACK.s.c.1.2.3.4.0 5\r\n",
            (b"a", b"1", b"$JS.ACK.s.c.1.2.3.4.0", None, b"5"),
        ),
    ],
)
def test_a_head_says_where_a_message_goes_and_how_long_it_is(head, groups):
    found = nats.MESSAGE.search(b"+OK\r\n" + head + b"hello\r\n")
    assert found
    assert (found.groups(), found[0]) == (groups, head)


def test_a_head_that_is_cut_is_none():
    head = b"HMSG a.b 1 _INBOX.7 12 17\r\n"
    assert not any(nats.MESSAGE.search(head[:end]) for end in range(len(head)))


def test_calls_give_answers_one_after_the_other():
    answers = (b'MSG i 1 8\r\n{"a": 1}\r\n', b'+OK\r\nMSG i 1 8\r\n{"a": 2}\r\n')
    turns = [(b"PUB $JS.API.X ", answers[0]), (b'{"q": 3}\r\n', answers[1])]
    with scripted(HELLO, *turns) as port:
        client = nats.NatsClient(port)
        assert client.call("$JS.API.X") == {"a": 1}
        assert client.call("$JS.API.X", {"q": 3}) == {"a": 2}
        client.close()


def test_an_answer_that_came_with_the_one_before_is_kept():
    both = b'MSG i 1 8\r\n{"a": 1}\r\nMSG i 1 8\r\n{"a": 2}\r\n'
    with scripted((b"PING\r\n", b"PONG\r\n" + both), (b"PUB", b""), (b"PUB", b"")) as port:
        client = nats.NatsClient(port)
        assert [client.call("x"), client.call("x")] == [{"a": 1}, {"a": 2}]
        client.close()


def test_headers_are_not_part_of_an_answer():
    with scripted(HELLO, (b"PUB", b'HMSG i 1 12 20\r\nNATS/1.0\r\n\r\n{"a": 1}\r\n')) as port:
        client = nats.NatsClient(port)
        assert client.call("x") == {"a": 1}
        client.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'MSG i 1 28\r\n{"error": {"code": "no-go"}}\r\n', "no-go"),
        (b"HMSG i 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", "nobody answers: b'NATS/1.0 503"),
        (b'MSG i 1 8\r\n{"a"', "connection ended"),
    ],
)
def test_what_is_no_answer_is_an_error(answer, said):
    with scripted(HELLO, (b"PUB", answer)) as port:
        client = nats.NatsClient(port)
        with pytest.raises(nats.NatsError, match=said):
            client.call("x")
        client.close()
