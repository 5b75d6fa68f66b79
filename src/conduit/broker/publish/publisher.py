"""From a request to the committer: topic, admission, idempotency key; alone or as a batch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain

import msgspec

from conduit.broker.catalog import Catalog, Topic
from conduit.broker.deliver.news import News
from conduit.broker.publish.admission import Admission
from conduit.broker.publish.batch import Batch, Part
from conduit.broker.publish.bounded import counted
from conduit.broker.publish.committers import Committers
from conduit.broker.publish.looks import Look, Looks
from conduit.broker.publish.outcome import Outcomes
from conduit.broker.publish.queue import Unit
from conduit.broker.publish.receipt import Answer, AnswerAll
from conduit.broker.turn import Turn
from conduit.broker.waiting import Deadline
from conduit.core.message import NewMessage
from conduit.core.seats import Seats
from conduit.errors import (
    ConduitError,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    StateError,
    StoreUnavailable,
)
from conduit.names import check_topic
from conduit.protocol.batch import path_of
from conduit.protocol.frames import PublishRequest
from conduit.storage.base import Appended

logger = logging.getLogger(__name__)

# Publishes that wait for their topics to be created; no tenant keeps out all others.
CREATING_MAX_COUNT = 1_000

# Payloads of a batch that are looked at in one turn of the loop, as many as one message may have.
AT_ONCE_MAX_BYTES = 262_144


class Single(msgspec.Struct, eq=False, gc=False):
    """A message that is published alone, on its way into the log."""

    outcomes: Outcomes
    topic: Topic
    message: NewMessage
    answer: Answer
    is_told: bool = False

    def stored(self, seqs: Sequence[Appended], start: int) -> None:
        """See `Unit.stored`."""
        try:
            receipt = self.outcomes.stored(self.topic, self.message, seqs[start])
        except NotFound as gone:
            self.failed(gone)
            return
        if not self.is_told:
            self.answer(receipt)

    def failed(self, error: ConduitError) -> None:
        """See `Unit.failed`."""
        self.outcomes.failed(self.topic, self.message, error)
        if not self.is_told:
            self.is_told = True
            self.outcomes.refuse(error, self.answer)


class Publisher:
    """Admits publishes and hands them to the committers, who see to the answer."""

    def __init__(
        self,
        catalog: Catalog,
        admission: Admission,
        outcomes: Outcomes,
        committers: Committers,
        turn: Turn,
        news: News,
    ) -> None:
        self._catalog = catalog
        self._news = news
        self._admission = admission
        self._keys = outcomes.keys
        self._outcomes = outcomes
        self.refusals = outcomes.refusals
        self._committers = committers
        self._looks = Looks(turn, admission)
        # Bound once: the way of every single publish goes through these.
        self._find = catalog.find
        self._admit = admission.message
        # Publishes that wait for their topics to be created.
        self._creating: set[asyncio.Task[None]] = set()
        self._seats = Seats(CREATING_MAX_COUNT)

    async def close(self) -> None:
        """Wait for what is looked at, and for the topics that publishes wait for; the committers are closed
        after that."""
        await self._looks.finished()
        await asyncio.gather(*self._creating, return_exceptions=True)

    def tick(self, now: float) -> None:
        """Tell in the log of what was refused. Call it every second."""
        self.refusals.tick(now)

    # One ------------------------------------------------------------------------------------------

    def publish(
        self,
        tenant: str,
        request: PublishRequest,
        answer: Answer,
        since: float | None = None,
        own_key: str | None = None,
    ) -> None:
        """Store and deliver one message; `answer` gets the receipt or the reason why not. Never raises.

        `since` is for one that has waited before, for its topic: from when on, on the loop's clock. `own_key`
        (names.py) is for what the server publishes itself, and stands for one message as every key does.
        """
        try:
            topic = self._find(tenant, request.topic)
            if topic is None:
                again = partial(self.publish, tenant, request, answer, _now(since), own_key)
                self._create_first(tenant, {request.topic: "topic"}, again, answer)
                return
            message = self._admit(topic, request)
            if own_key is not None:
                message.idempotency_key = own_key
            if message.idempotency_key is None and not topic.allowance.bounds_messages:
                single = Single(self._outcomes, topic, message, answer)
                size_bytes = len(message.payload)
                self._committers.submit((message,), size_bytes, single, since, topic.allowance)
            elif message.idempotency_key is None or self._keys.is_first(
                topic, message, partial(self._outcomes.repeated, answer)
            ):
                single = Single(self._outcomes, topic, message, answer)
                self._offer(topic, (message,), single, since)
        except ConduitError as error:
            self._outcomes.refuse(error, answer)

    def _offer(
        self, topic: Topic, messages: Sequence[NewMessage], unit: Unit, since: float | None
    ) -> None:
        """Queue the unit, or tell it why not; `topic` is one of its tenant's."""
        try:
            unit = counted(unit, topic.allowance, messages)
        except LimitReached as error:
            unit.failed(error)
            return
        self._committers.offer(messages, unit, since, topic.allowance)

    def take(self, topic: Topic, messages: Sequence[NewMessage], unit: Unit) -> None:
        """Store and deliver what another node has admitted, with the ids that it has there; what becomes of
        it the unit is told. Never raises."""
        self._offer(topic, messages, unit, None)

    # Many -----------------------------------------------------------------------------------------

    def publish_batch(
        self,
        tenant: str,
        requests: Sequence[PublishRequest],
        answer: AnswerAll,
        since: float | None = None,
        *,
        are_checked: bool = False,
    ) -> None:
        """Store and deliver all or none; `answer` gets one receipt per request, in order, or the reason.

        A message whose key is known already is answered with the first result and not stored again. A large
        batch is stored after what is published meanwhile.
        `since`: see `publish`; `are_checked`: their payloads were.
        """
        try:
            self._admission.check_count(requests)
            topics, missing = self._find_all(tenant, {request.topic for request in requests})
            if missing:
                again = partial(self.publish_batch, tenant, requests, answer, _now(since))
                again = partial(again, are_checked=are_checked)
                self._create_first(tenant, _first_fields(requests, missing), again, answer)
                return
            if not any(request.idempotency_key for request in requests):
                # Those that have keys may be known, and then need no room.
                whose = topics[requests[0].topic].allowance
                self._committers.check_room(len(requests), whose)
            size_bytes = sum(memoryview(request.payload).nbytes for request in requests)
            if not are_checked and AT_ONCE_MAX_BYTES < size_bytes <= self._looks.room_bytes:
                since = _now(since)
                again = partial(self.publish_batch, tenant, requests, answer, since)
                refuse = partial(self._outcomes.refuse, answer=answer)
                again = partial(again, are_checked=True)
                self._looks.add(Look(requests, size_bytes, since, again, refuse, tenant))
                return
            messages = []
            for index, request in enumerate(requests):
                topic, path = topics[request.topic], path_of(index)
                message = self._admit(topic, request, path, is_checked=are_checked)
                messages.append((topic, message))
            self._keys.check_batch(messages)
        except ConduitError as error:
            self._outcomes.refuse(error, answer)
            return
        self._submit_batch(Batch(self._outcomes, messages, answer), since)

    def _submit_batch(self, batch: Batch, since: float | None) -> None:
        """Store what is not known already, in one unit for each shard of the log."""
        parts: dict[int, Part] = {}
        for index, (topic, message) in enumerate(batch.messages):
            try:
                if message.idempotency_key is None or self._keys.is_first(
                    topic, message, partial(batch.collect, index)
                ):
                    shard = self._committers.shard_of(topic.topic_id)
                    part = parts.get(shard)
                    if part is None:
                        part = parts[shard] = Part(batch)
                    part.indexes.append(index)
            except ConduitError as error:
                batch.collect(index, error)
        units = [
            (part, [batch.messages[index][1] for index in part.indexes]) for part in parts.values()
        ]
        topic = batch.messages[0][0]
        try:
            # All of them: a part is not refused when another one is on its way.
            topic.allowance.check_stored_of(chain.from_iterable(each[1] for each in units))
        except LimitReached as error:
            for part, _ in units:
                part.failed(error)
            return
        for part, some in units:
            self._offer(topic, some, part, since)

    # Topics ---------------------------------------------------------------------------------------

    def _find_all(self, tenant: str, names: set[str]) -> tuple[dict[str, Topic], set[str]]:
        """The topics of these names, and the names that no topic has."""
        topics: dict[str, Topic] = {}
        missing: set[str] = set()
        for name in names:
            topic = self._find(tenant, name)
            if topic is None:
                missing.add(name)
            else:
                topics[name] = topic
        return topics, missing

    def _create_first(
        self,
        tenant: str,
        fields: Mapping[str, str],
        publish: Callable[[], None],
        answer: Callable[[ConduitError], None],
    ) -> None:
        """Publish when the topics exist: made, if that is wanted, or if another node has made them. Else
        raise NotFound `topic_not_found`.

        `fields` has their names, and where each stands: the first that is at fault is named by it.
        """
        for name, field in fields.items():
            if self._admission.auto_create_topics or self._news.may_be_shared:
                check_topic(name, field)
            else:
                self._catalog.get(tenant, name, field)
        if not self._seats.is_free_for(tenant):
            raise Overloaded("too many topics are being created")

        deadline = Deadline(self._admission.timeout_s)
        refuse = partial(self._outcomes.refuse, answer=answer)

        async def create() -> None:
            try:
                await self._news.ask_for(tenant, fields)
                if self._admission.auto_create_topics:
                    await self._catalog.ensure_all(tenant, fields, deadline)
                for name, field in fields.items():
                    self._catalog.get(tenant, name, field)
            except OutcomeUnknown as error:
                # That of the topic; the message did not even come into the queue.
                refuse(StoreUnavailable(f"{error.told}; no message was stored"))
            except ConduitError as error:
                refuse(error)
            else:
                publish()

        task = asyncio.get_running_loop().create_task(create())
        self._creating.add(task)
        self._seats.take(tenant)
        task.add_done_callback(partial(self._created, tenant, refuse))

    def _created(
        self, tenant: str, refuse: Callable[[ConduitError], None], task: asyncio.Task[None]
    ) -> None:
        self._creating.discard(task)
        self._seats.leave(tenant)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            logger.error("topics could not be created", exc_info=error)
            refuse(StateError.of(error))


def _first_fields(requests: Sequence[PublishRequest], missing: set[str]) -> dict[str, str]:
    """Where each missing topic is named first, in the order of the batch."""
    fields: dict[str, str] = {}
    for index, request in enumerate(requests):
        if request.topic in missing:
            fields.setdefault(request.topic, f"{path_of(index)}topic")
    return fields


def _now(since: float | None) -> float:
    return asyncio.get_running_loop().time() if since is None else since
