"""What the view shows, and how often which of it is asked for: what the dashboard's Overview asks, as often.

Stats and nodes come with each look, latencies every 5 s, the busiest topics and what needs a look every 10 s:
the server makes new ones no more often. What the key may not see is asked for again after a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from conduit.client import ApiError, AsyncConduit, ClientError, ConnectionFailed

if TYPE_CHECKING:
    from conduit.client import Node

ANSWER_TIMEOUT_S = 5.0
HISTORY_EVERY_S = 5.0
LOOK_EVERY_S = 10.0
REFUSED_EVERY_S = 60.0
# Of 5 s each: latencies of so long ago are shown while nothing is published.
HISTORY_COUNT = 3
# Rows that are asked for; a terminal shows fewer.
TOPICS_MAX_COUNT = 50
NODES_MAX_COUNT = 100


class Question(NamedTuple):
    """One kind of request."""

    name: str
    ask: Callable[[AsyncConduit], Awaitable[Any]]
    every_s: float


async def _nodes(client: AsyncConduit) -> list[Node]:
    found: list[Node] = []
    async for node in client.nodes.find():
        found.append(node)
        if len(found) == NODES_MAX_COUNT:
            break
    return found


QUESTIONS: Sequence[Question] = (
    Question("stats", lambda client: client.stats(), 0.0),
    Question("nodes", _nodes, 0.0),
    Question(
        "history", lambda client: client.figures.history(limit=HISTORY_COUNT), HISTORY_EVERY_S
    ),
    Question("attention", lambda client: client.figures.attention(), LOOK_EVERY_S),
    Question("topics", lambda client: client.figures.topics(limit=TOPICS_MAX_COUNT), LOOK_EVERY_S),
)


def requests_per_min(interval_s: float) -> float:
    """How many requests a view with this interval makes."""
    return sum(60.0 / max(interval_s, each.every_s) for each in QUESTIONS)


class Seen(msgspec.Struct):
    """What is known now. Missing is what has not come yet; `refused` has why."""

    stats: dict[str, Any] | None = None
    nodes: list[Any] | None = None
    history: dict[str, Any] | None = None
    attention: dict[str, Any] | None = None
    topics: dict[str, Any] | None = None
    refused: dict[str, str] = {}
    """Name of a question → why there is no answer."""
    away_since: float | None = None
    """By the wall clock, when the server was found not to answer; None: it does."""
    away_why: str = ""
    at: float | None = None
    """When it has answered last."""


class Asking:
    """Keeps `seen` up to date. `now` is the wall clock in seconds; `timer` says what is due, and is never set
    back."""

    def __init__(
        self,
        client: AsyncConduit,
        now: Callable[[], float],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._timer = timer
        self._due = dict.fromkeys((each.name for each in QUESTIONS), 0.0)
        self.seen = Seen()

    async def look(self) -> None:
        """Ask what is due, all at once. Raises nothing but what cancels it."""
        now = self._timer()
        due = [each for each in QUESTIONS if self._due[each.name] <= now]
        answers = await asyncio.gather(*(self._answer(each) for each in due))
        for question, answer in zip(due, answers, strict=True):
            self._take(question, answer, now)
        firsts = [answer for each, answer in zip(due, answers, strict=True) if each.name == "stats"]
        self._note_presence(firsts)

    async def _answer(self, question: Question) -> object:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await question.ask(self._client)
        except TimeoutError:
            return ConnectionFailed(f"no answer within {ANSWER_TIMEOUT_S:g} s")
        except ClientError as error:
            return error

    def _take(self, question: Question, answer: object, now: float) -> None:
        name, seen = question.name, self.seen
        if not isinstance(answer, ClientError):
            setattr(seen, name, answer)
            seen.refused.pop(name, None)
            # A little less, so that a look that comes a moment early does not wait for the next one.
            self._due[name] = now + max(0.0, question.every_s - 0.5)
        elif isinstance(answer, ApiError) and answer.status in (401, 403):
            setattr(seen, name, None)
            seen.refused[name] = answer.detail
            self._due[name] = now + REFUSED_EVERY_S
        else:
            # What was known stays on the screen, which says how old it is.
            seen.refused[name] = answer.detail
            self._due[name] = now

    def _note_presence(self, answers: Sequence[object]) -> None:
        seen = self.seen
        for answer in answers:
            if isinstance(answer, ClientError) and not (
                isinstance(answer, ApiError) and answer.status in (401, 403)
            ):
                seen.away_since = seen.away_since or self._now()
                seen.away_why = answer.detail
            else:
                seen.away_since, seen.at = None, self._now()
