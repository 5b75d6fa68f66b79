"""What operators do: topics, subscriptions, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from conduit.core.message import DeadLetter, Retention
from conduit.errors import ConduitError, OutcomeUnknown
from conduit.protocol.frames import StartAt, StartSpec
from conduit.storage.dead_letters import DeadFilter
from tests.model.comparing import JOB_LETTERS_MAX_COUNT
from tests.model.oracle.line import Line
from tests.model.oracle.log import Topic, Violation
from tests.model.oracle.state import Job
from tests.model.oracle.subscription import Subscription
from tests.model.steps.base import AWAY, Step, asked, asked_to_make

if TYPE_CHECKING:
    from tests.model.world import World

# A seek to further back is one to the beginning.
SEEK_BACK_MAX_COUNT = 1_000
REDRIVE_RATE_PER_S = 10_000.0
# After so many answers with an error that passes there is time in between.
AT_ONCE_COUNT = 20
ASK_AGAIN_S = 0.1
# What a redrive may end with.
REFUSED = (
    "conflict",
    "already_redriven",
    "topic_not_found",
    "subscription_not_found",
    "dead_letter_not_found",
    "letter_topic_gone",
    "payload_lost",
    "subscription_full",
)


@dataclass(frozen=True, repr=False)
class MakeTopic(Step):
    """A topic, with retention by count or age if that is given."""

    name: str
    keep: int | None = None
    age_s: int | None = None

    async def take(self, world: World) -> None:
        world.state.may_make.add(self.name)
        retention = Retention(max_messages=self.keep, max_age_s=self.age_s)
        call = partial(world.broker.topics.create, world.tenant, self.name, retention)
        # It may be there by a call whose answer was lost, or one that another step waits for.
        world.begin(asked_to_make(world, self.name, call, {"topic_exists"}))


@dataclass(frozen=True, repr=False)
class Purge(Step):
    """All that is stored of a topic goes."""

    name: str

    async def take(self, world: World) -> None:
        topic = world.state.log.by_name.get(self.name)
        if topic is not None and topic.is_known and not topic.going:
            # Here it takes itself for alone, and knows nothing behind a hole.
            world.begin(self._purge(world, topic, topic.passed))

    async def _purge(self, world: World, topic: Topic, last_seq: int) -> None:
        call = partial(world.broker.purger.purge, world.tenant, self.name)
        error = await asked(world, call, {"topic_not_found", "overloaded", "outcome_unknown"})
        if (
            error is None
            and topic.first_known <= last_seq
            and topic.topic_id in world.state.log.by_id
        ):
            raise Violation(
                f"{topic.name} was purged, and {topic.first_known} of {last_seq} is there"
            )


@dataclass(frozen=True, repr=False)
class DeleteTopic(Step):
    """A topic goes, with all that is open in it."""

    name: str

    async def take(self, world: World) -> None:
        topic = world.state.log.by_name.get(self.name)
        if topic is not None and topic.is_known and not topic.going:
            world.begin(self._delete(world))

    async def _delete(self, world: World) -> None:
        state = world.state
        topic = state.log.by_name[self.name]
        state.leaving[self.name] = topic
        topic.going += 1
        call = self._call(world, topic)
        error = await asked(world, call, {"topic_not_found"})
        # What hangs may still happen.
        await world.port.is_over("topic_delete", topic.topic_id)
        for number in count():
            if error is None or error.code not in AWAY or self._is_settled(world, topic):
                break
            # It happened, and could not be said: asked again until it is. At first at once, or somebody might
            # ask for it before.
            if number >= AT_ONCE_COUNT or state.may_come(self.name):
                await asyncio.sleep(ASK_AGAIN_S)
            if not state.making[self.name] and not world.port.faults.any:
                # What waited at the broker has had its turn.
                state.perhaps_making.discard(self.name)
            if not state.may_come(self.name) and not self._is_settled(world, topic):
                error = await asked(world, call, {"topic_not_found"})
        topic.going -= 1
        if not topic.going and state.leaving.get(self.name) is topic:
            del state.leaving[self.name]
        if topic.topic_id in state.log.by_id and (error is None or error.code == "topic_not_found"):
            raise Violation(f"{self.name} is gone, and the store has it")

    def _call(self, world: World, topic: Topic) -> Callable[[], Coroutine[Any, Any, None]]:
        """The deletion. If its answer is lost it is not asked again where it might meet another topic: one
        that is made by what waits at the broker before it."""
        is_again = False

        async def call() -> None:
            nonlocal is_again
            is_gone = topic.topic_id not in world.state.log.by_id
            is_other = self.name in world.state.log.by_name or world.state.may_come(self.name)
            if is_again and is_gone and is_other:
                raise OutcomeUnknown(f"another {self.name} may be there by now")
            is_again = True
            await world.broker.topics.delete(world.tenant, self.name)

        return call

    def _is_settled(self, world: World, topic: Topic) -> bool:
        """It is there, or another one has its name: nothing is to be asked again."""
        log = world.state.log
        return topic.topic_id in log.by_id or self.name in log.by_name


@dataclass(frozen=True, repr=False)
class Change(Step):
    """Something is done to a durable subscription.

    `how`: `pause`, `resume`, `update` (with changes), `delete`, or `seek` to so many messages before the end.
    """

    name: str
    how: str
    changes: tuple[tuple[str, int], ...] = ()
    back: int = 0

    async def take(self, world: World) -> None:
        known = world.state.durable.get(self.name)
        if known is None or known.going or not known.is_known:
            return
        subscriptions, tenant, name = world.broker.subscriptions, world.tenant, self.name
        match self.how:
            case "pause":
                call = partial(subscriptions.pause, tenant, name)
                world.begin(_paused(world, known, call, is_paused=True))
            case "resume":
                call = partial(subscriptions.resume, tenant, name)
                world.begin(_paused(world, known, call, is_paused=False))
            case "update":
                if world.port.faults.any and "ack_wait_ms" in dict(self.changes):
                    # Which deliveries have the old wait is not known when the answer comes among others.
                    return
                call = partial(subscriptions.update, tenant, name, dict(self.changes))
                world.begin(_altered(world, known, call))
            case "delete":
                world.begin(self._delete(world, known))
            case "seek":
                world.begin(self._seek(world, known))

    async def _delete(self, world: World, known: Subscription) -> None:
        known.going += 1
        call = partial(world.broker.subscriptions.delete, world.tenant, self.name)
        error = await asked(world, call, {"subscription_not_found"})
        await world.port.is_over("subscription_delete", known.subscription_id)
        while error is not None and error.code in AWAY and not known.is_stored:
            # As above.
            error = await asked(world, call, {"subscription_not_found"})
        known.going -= 1
        if known.is_stored and (error is None or error.code == "subscription_not_found"):
            raise Violation(f"{self.name} is gone, and the store has it")

    async def _seek(self, world: World, known: Subscription) -> None:
        lines = list(known.lines.values())
        start: StartSpec = "earliest"
        if lines and self.back < SEEK_BACK_MAX_COUNT:
            start = StartAt(seq=max(1, lines[0].topic.last_known + 1 - self.back))
        seek = world.broker.subscriptions.seek
        call = partial(seek, world.tenant, self.name, start, dry_run=False)
        error = await _altered(world, known, call)
        for line in lines if error is None else ():
            line.moves_told = line.moves


async def _altered(
    world: World, known: Subscription, call: Callable[[], Coroutine[Any, Any, Any]]
) -> ConduitError | None:
    """A change of a subscription. A deletion that was asked for later may come first: where a seek leads is
    asked before its turn, and what was not answered in time is asked again. It may be gone before the answer.
    """
    error = await asked(world, call, {"subscription_not_found"})
    is_gone = known.going or not known.is_stored
    if error is not None and error.code == "subscription_not_found" and not is_gone:
        raise Violation(f"{known} is there, and could not be changed")
    return error


async def _paused(
    world: World,
    known: Subscription,
    call: Callable[[], Coroutine[Any, Any, Any]],
    *,
    is_paused: bool,
) -> None:
    known.pauses_asked += 1
    number = known.pauses_asked
    error = await _altered(world, known, call)
    # One that was asked for later may be answered first: what an answer shows is read after its change.
    is_last = number == known.pauses_asked
    is_calm = world.is_calm_but_for_this and not known.going and is_last
    if error is None and is_calm and known.stored[1] != is_paused:
        raise Violation(f"{known} was answered to be paused: {is_paused}, and that is not stored")


@dataclass(frozen=True, repr=False)
class Letter(Step):
    """A dead letter is redriven, or discarded."""

    which: int
    is_discarded: bool = False

    async def take(self, world: World) -> None:
        letters = await _letters(world)
        if not letters:
            return
        letter = letters[self.which % len(letters)]
        if self.is_discarded:
            world.begin(self._discard(world, letter))
        elif letter.dead_id not in world.redriving:
            world.redriving.add(letter.dead_id)
            world.begin(self._redrive(world, letter))

    async def _discard(self, world: World, letter: DeadLetter) -> None:
        call = partial(world.broker.dead_letters.discard, world.tenant, letter.dead_id)
        await asked(world, call, {"dead_letter_not_found"} if world.port.faults.any else ())

    async def _redrive(self, world: World, letter: DeadLetter) -> None:
        state, place = world.state, (letter.subscription, letter.topic_id, letter.seq)
        expected, line = redrivable(world, letter)
        was_maybe = line is not None and letter.seq in line.maybe
        is_calm = world.is_calm_but_for_this and not was_maybe
        # Settled here, and not in the store: if another node has claimed it, it is not settled any more.
        is_open_there = line is not None and (
            not line.stored.has_settled(letter.seq) or letter.seq in line.stored.maybe
        )
        owner = state.durable.get(letter.subscription)
        was_full = owner is not None and owner.is_full(state.max_waiting)
        state.redrive_asked(place)
        error = await asked(
            world,
            partial(world.broker.dead_letters.redrive, world.tenant, letter.dead_id),
            REFUSED,
        )
        code = None if error is None else error.code
        if code == "already_redriven":
            # What the line is tells the two apart.
            code = "conflict"
        world.redriving.discard(letter.dead_id)
        state.redrive_answered(place, is_known=code not in AWAY)
        is_open = code == "conflict" and is_open_there
        if code == "subscription_full":
            known = state.durable.get(letter.subscription)
            is_open = known is not None and (was_full or known.is_full(state.max_waiting))
        # Deleted while this waited, for what was moved to another node.
        is_gone = (
            owner is None or owner.going or state.durable.get(letter.subscription) is not owner
        )
        is_gone = is_gone and code == "subscription_not_found"
        if is_calm and code != expected and not is_open and not is_gone:
            raise Violation(
                f"{letter.subscription} {letter.topic} {letter.seq}: redrive ended with {code},"
                f" not {expected}"
            )
        if code == "conflict" and line is not None and line is state.line_at(place):
            if line.may_be_redriven(letter.seq):
                # Then it is open, by another call, or one that was not answered well.
                line.redrive(letter.seq, state.now)
            line.maybe.discard(letter.seq)


@dataclass(frozen=True, repr=False)
class Letters(Step):
    """A job redrives the dead letters of a subscription, or of all."""

    name: str | None = None

    async def take(self, world: World) -> None:
        if world.has_job:
            return
        world.state.job = Job(self.name)
        for letter in await _letters(world):
            if letter.redriven_at_ms is None:
                expected, line = redrivable(world, letter)
                world.state.may_find((letter.subscription, letter.topic_id, letter.seq))
                if (
                    line is not None
                    and expected is None
                    and self.name in (None, letter.subscription)
                ):
                    line.maybe.add(letter.seq)
        which = DeadFilter(subscription=self.name)
        job = world.broker.dead_letters.jobs.start(
            world.tenant, which, rate_per_s=REDRIVE_RATE_PER_S, max_count=JOB_LETTERS_MAX_COUNT
        )
        await world.watch_job(job)


async def _letters(world: World) -> list[DeadLetter]:
    """All dead letters, in an order that is the same in every run."""
    found = await world.port.dead_letters(world.tenant)
    return sorted(found, key=lambda one: (one.subscription, one.topic_id, one.seq))


def redrivable(world: World, letter: DeadLetter) -> tuple[str | None, Line | None]:
    """The code that redriving must end with, and where it opens something."""
    state = world.state
    topic = state.log.by_id.get(letter.topic_id)
    if not letter.subscription and letter.is_lost:
        return "payload_lost", None
    if not letter.subscription:
        # It is published anew, to whatever has the name now.
        there = state.log.by_name.get(letter.topic)
        return (None if there is not None and there.is_known else "topic_not_found"), None
    subscription = state.durable.get(letter.subscription)
    if letter.is_lost:
        return "payload_lost", None
    if subscription is None:
        return "subscription_not_found", None
    if topic is None:
        return "letter_topic_gone", None
    if not subscription.covers(topic):
        return "conflict", None
    line = subscription.lines.get(letter.topic_id)
    if line is None or letter.seq >= line.next or letter.seq in line.open:
        return "conflict", line
    return None, line
