"""Asking other nodes what they do: all at once, each for ASK_TIMEOUT_S.

Who does not answer in time is named, with the reason, and holds up nobody longer than that. Of all who ask
at this node ASKING_MAX_COUNT have others asked at a time, and no tenant keeps out all others, for which there
may be twice as many; with more, the others are not asked, and are named as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import msgspec

from conduit.cluster.inquiries import Inquiry, Kind, Question, encode_question
from conduit.cluster.links.links import Links
from conduit.cluster.links.requests import Answered
from conduit.cluster.this_node import ThisNode
from conduit.core.seats import Seats
from conduit.errors import ConduitError, Conflict, NotFound, OutcomeUnknown, Overloaded, Unavailable

# A node on the same network answers within a millisecond or two.
ASK_TIMEOUT_S = 1.0
ASKING_MAX_COUNT = 256

T = TypeVar("T")
Outcomes = dict[str, bytes | ConduitError]


class Answers(NamedTuple, Generic[T]):
    """What came of asking, by the names of nodes."""

    said: dict[str, T]
    unanswered: dict[str, str]
    """Why a node that lives did not say anything."""


class Asking:
    """`node` is this one, which knows the others; `links` are those to them, None if it makes none."""

    def __init__(self, node: Callable[[], ThisNode], links: Callable[[], Links | None]) -> None:
        self._node = node
        self._links = links
        self._seats = Seats(ASKING_MAX_COUNT)

    def others(self) -> list[str]:
        """The other nodes that live, by name."""
        node = self._node()
        return [each.id for each in node.views() if each.state != "down" and each.id != node.name]

    async def all(self, inquiry: Inquiry[T], question: Question) -> Answers[T]:
        """Ask all other nodes that live. Raises nothing; cancelling ends the waiting only."""
        return await self.each(self.others(), inquiry, question)

    async def each(
        self, names: Sequence[str], inquiry: Inquiry[T], question: Question
    ) -> Answers[T]:
        """The same of these."""
        return await _read(await self._outcomes(names, inquiry.kind, question), inquiry)

    async def one(self, name: str, inquiry: Inquiry[T], question: Question) -> T:
        """Ask one of the others. Raises NotFound `node_not_found` for one that is not known, Unavailable
        `node_unreachable` if it does not answer, OutcomeUnknown if it may have done what it was ordered, and
        Conflict if it says so."""
        view = next((each for each in self._node().views() if each.id == name), None)
        if view is None:
            raise no_node(name)
        if view.state == "down":
            raise _silent(name, "it is down")
        outcomes = await self._outcomes([name], inquiry.kind, question)
        error = outcomes[name]
        if isinstance(error, Conflict):
            raise error
        answers = await _read(outcomes, inquiry)
        if name in answers.said:
            return answers.said[name]
        why = answers.unanswered[name]
        was_heard = not isinstance(error, ConduitError) or isinstance(error, OutcomeUnknown)
        if inquiry.is_order and was_heard:
            raise OutcomeUnknown(f"node {name} may have done it: {why}")
        raise _silent(name, why)

    async def _outcomes(self, names: Sequence[str], kind: Kind, question: Question) -> Outcomes:
        if not names:
            return {}
        # What is asked of all tenants has a share of its own.
        if not self._seats.is_free_for(question.tenant or ""):
            error = Overloaded(f"{self._seats.count} questions to nodes are open already")
            return dict.fromkeys(names, error)
        with self._seats.taken(question.tenant or ""):
            return await self._ask_each(names, kind, question)

    async def _ask_each(self, names: Sequence[str], kind: Kind, question: Question) -> Outcomes:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        outcomes: Outcomes = {}

        def answered(name: str, outcome: bytes | ConduitError) -> None:
            outcomes[name] = outcome
            if len(outcomes) == len(names) and not done.done():
                done.set_result(None)

        for name in names:
            self._ask(name, kind, question, partial(answered, name))
        await done
        return outcomes

    def _ask(self, name: str, kind: Kind, question: Question, answered: Answered) -> None:
        links = self._links()
        link = None if links is None else links.to(name)
        if link is None:
            why = f"there is no link to node {name}"
            if links is None:
                why = "this node makes no links; is INTERNAL_SECRET set?"
            answered(Unavailable(why))
            return
        question = msgspec.structs.replace(question, incarnation=link.peer.incarnation)
        try:
            link.request(kind, encode_question(question), ASK_TIMEOUT_S, answered)
        except ConduitError as error:
            answered(error)


def no_node(name: str) -> NotFound:
    """There is none of this name."""
    return NotFound(f"no node {name!r} is known here", code="node_not_found")


def _silent(name: str, why: str) -> Unavailable:
    return Unavailable(f"node {name} does not answer: {why}", code="node_unreachable")


async def _read(outcomes: Outcomes, inquiry: Inquiry[T]) -> Answers[T]:
    said: dict[str, T] = {}
    unanswered: dict[str, str] = {}
    for name, outcome in sorted(outcomes.items()):
        if isinstance(outcome, ConduitError):
            unanswered[name] = str(outcome)
            continue
        try:
            if inquiry.in_steps is None:
                said[name] = inquiry.decode(outcome)
                continue
            for found in inquiry.in_steps(outcome):
                said[name] = found
                # Others have their turns.
                await asyncio.sleep(0)
        except msgspec.MsgspecError as error:
            said.pop(name, None)
            unanswered[name] = f"what it says cannot be read: {error}"
    return Answers(said, unanswered)
