"""Topics that another node has, asked for over a link; with real sockets in test_meeting.py."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from conduit.cluster.apart.topics import KIND, TopicFinder, answer
from conduit.cluster.hints import Kept
from conduit.core.message import Retention
from conduit.errors import ConduitError, InvalidRequest, Unavailable
from conduit.names import DEFAULT_TENANT as T
from tests.broker.kit import Bench, running_broker


class Question:
    """As `requests.Asked`: a request that has come."""

    def __init__(self, body: bytes) -> None:
        self.kind, self.body = KIND, body
        self.replies: list[bytes] = []

    def reply(self, body: bytes) -> None:
        self.replies.append(body)


class Way:
    """A link to a node that answers at once, or with `error`; `asked` are the questions."""

    def __init__(self, bench: Bench, error: ConduitError | None = None) -> None:
        self.bench, self.error, self.asked = bench, error, 0
        self.peer = type("Peer", (), {"name": "other"})
        self.body: bytes | None = None

    async def ask(self, kind: str, body: bytes, timeout_s: float) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if self.body is not None:
            return self.body
        question = Question(body)
        answer(self.bench.broker.topics, question)
        return question.replies[0]


@pytest.fixture
async def theirs():
    async with running_broker() as bench:
        await bench.broker.topics.create(T, "t", Retention(max_messages=7))
        await bench.broker.topics.create(T, "u")
        yield bench


async def test_what_another_node_has_is_made_here_with_what_it_keeps(theirs):
    async with running_broker() as ours:
        way = Way(theirs)
        finder = TopicFinder(ours.broker.topics, lambda: [way])
        await finder.find(T, ["t", "nowhere"])
        assert ours.broker.topics.get(T, "t").retention == Retention(max_messages=7)
        assert ours.broker.topics.find(T, "nowhere") is None
        assert ours.broker.topics.find(T, "u") is None
        # What is here is not asked for.
        await finder.find(T, ["t"])
        assert way.asked == 1
        await finder.find("another", ["u"])
        assert ours.broker.topics.find("another", "u") is None


async def test_who_does_not_answer_or_answers_nonsense_has_none(theirs):
    async with running_broker() as ours:
        silent, odd, short = Way(theirs, Unavailable("away")), Way(theirs), Way(theirs)
        odd.body, short.body = b"\xc1", msgspec.msgpack.encode([])
        finder = TopicFinder(ours.broker.topics, lambda: [silent, odd, short])
        await finder.find(T, ["t"])
        assert ours.broker.topics.find(T, "t") is None
        finder = TopicFinder(ours.broker.topics, lambda: [silent, odd, short, Way(theirs)])
        await finder.find(T, ["t"])
        assert ours.broker.topics.find(T, "t") is not None


async def test_two_who_look_for_one_topic_at_once_make_it_once(theirs):
    async with running_broker() as ours:
        finder = TopicFinder(ours.broker.topics, lambda: [Way(theirs)])
        await asyncio.gather(*(finder.find(T, ["t", "u"]) for _ in range(5)))
        assert len(ours.broker.topics) == 2


async def test_without_links_nobody_is_asked():
    async with running_broker() as ours:
        await TopicFinder(ours.broker.topics, list).find(T, ["t"])
        assert len(ours.broker.topics) == 0


async def test_a_question_that_cannot_be_read_is_refused(theirs):
    with pytest.raises(InvalidRequest):
        answer(theirs.broker.topics, Question(b"\xc1"))


def test_what_is_kept_comes_back_as_it_was():
    for retention in (Retention(), Retention(1, 2, 3), Retention(max_bytes=1 << 40)):
        body = msgspec.msgpack.encode(Kept.of(retention))
        assert msgspec.msgpack.decode(body, type=Kept).retention == retention
