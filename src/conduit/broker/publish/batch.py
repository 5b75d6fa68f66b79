"""A batch of publishes on its way: stored in one unit, answered in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from conduit.broker.catalog import Topic
from conduit.broker.publish.receipt import BatchAnswer, Receipt
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, OutcomeUnknown

if TYPE_CHECKING:
    from conduit.broker.publish.publisher import Publisher


class Batch:
    """One batch on its way: the receipts it has, and how many are still to come."""

    def __init__(
        self, publisher: Publisher, admitted: list[tuple[Topic, NewMessage]], answer: BatchAnswer
    ) -> None:
        self._publisher = publisher
        self._admitted = admitted
        self._answer = answer
        self._receipts: list[Receipt | None] = [None] * len(admitted)
        self._missing_count = len(admitted)
        self._error: ConduitError | None = None
        self._is_told = False

    def submit(self) -> None:
        """Store what is not known already, in one unit for each shard of the log."""
        publisher = self._publisher
        units: dict[int, list[int]] = {}
        for index, (topic, message) in enumerate(self._admitted):
            collect = partial(self._collect, index)
            try:
                if message.idempotency_key is None or publisher.keys.is_first(
                    topic, message, collect
                ):
                    shard = publisher.committers.shard_of(topic.topic_id)
                    units.setdefault(shard, []).append(index)
            except ConduitError as error:
                collect(error)
        for indexes in units.values():
            messages = [self._admitted[index][1] for index in indexes]
            publisher.submit_pending(messages, partial(self._stored, indexes))

    def _stored(
        self, indexes: Sequence[int], result: Sequence[int] | ConduitError, start: int
    ) -> None:
        """What became of the unit whose messages stand there in the batch."""
        publisher = self._publisher
        if isinstance(result, OutcomeUnknown):
            self._delay(indexes, result)
            return
        for place, index in enumerate(indexes, start):
            topic, message = self._admitted[index]
            outcome = (
                result
                if isinstance(result, ConduitError)
                else publisher.receipt(topic, message, result[place])
            )
            if message.idempotency_key is not None:
                publisher.keys.settle(topic, message, outcome)
            self._collect(index, outcome)

    def _delay(self, indexes: Sequence[int], error: OutcomeUnknown) -> None:
        """The store has the unit, and does not say what became of it."""
        for index in indexes:
            topic, message = self._admitted[index]
            if message.idempotency_key is not None:
                self._publisher.keys.delay(topic, message, error)
        if not self._is_told:
            self._is_told = True
            self._answer(error)

    def _collect(self, index: int, result: Receipt | ConduitError) -> None:
        if isinstance(result, ConduitError):
            self._error = result
        else:
            self._receipts[index] = result
        self._missing_count -= 1
        if self._missing_count == 0 and not self._is_told:
            self._answer(self._outcome())

    def _outcome(self) -> list[Receipt] | ConduitError:
        receipts = [receipt for receipt in self._receipts if receipt is not None]
        if self._error is None:
            return receipts
        if any(not receipt.duplicate for receipt in receipts):
            # Of several shards one has stored its part.
            return OutcomeUnknown(
                f"a part of the batch is not stored ({self._error.detail}): repeat it with its"
                " idempotency keys"
            )
        return self._error
