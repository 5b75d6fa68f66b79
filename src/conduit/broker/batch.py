"""A batch of publishes on its way: stored in one unit, answered in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from conduit.broker.catalog import Topic
from conduit.broker.receipt import BatchAnswer, Receipt
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, OutcomeUnknown

if TYPE_CHECKING:
    from conduit.broker.publisher import Publisher


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
        # Where the messages of the unit stand in the batch.
        self._stored_indexes: list[int] = []

    def submit(self) -> None:
        """Store what is not known already, in one unit."""
        publisher = self._publisher
        for index, (topic, message) in enumerate(self._admitted):
            collect = partial(self._collect, index)
            try:
                if message.idempotency_key is None or publisher.keys.is_first(
                    topic, message, collect
                ):
                    self._stored_indexes.append(index)
            except ConduitError as error:
                collect(error)
        if not self._stored_indexes:
            return
        messages = [self._admitted[index][1] for index in self._stored_indexes]
        publisher.submit_pending(messages, self._stored)

    def _stored(self, result: Sequence[int] | ConduitError, start: int) -> None:
        publisher = self._publisher
        if isinstance(result, OutcomeUnknown):
            self._delay(result)
            return
        for place, index in enumerate(self._stored_indexes, start):
            topic, message = self._admitted[index]
            outcome = (
                result
                if isinstance(result, ConduitError)
                else publisher.receipt(topic, message, result[place])
            )
            if message.idempotency_key is not None:
                publisher.keys.settle(topic, message, outcome)
            self._collect(index, outcome)

    def _delay(self, error: OutcomeUnknown) -> None:
        """The store has the unit, and does not say what became of it."""
        for index in self._stored_indexes:
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
            receipts = [receipt for receipt in self._receipts if receipt is not None]
            self._answer(self._error if self._error is not None else receipts)
