"""A batch of publishes: stored in one unit for each shard of the log, answered in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from conduit.broker.catalog import Topic
from conduit.broker.publish.outcome import Outcomes
from conduit.broker.publish.receipt import AnswerAll
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, NotFound, OutcomeUnknown
from conduit.protocol.batch import path_of
from conduit.protocol.records import Receipt
from conduit.storage.base import Appended


class Batch:
    """Collects what became of each message, and answers when it knows all, or that it cannot know."""

    __slots__ = (
        "_answer",
        "_error",
        "_is_told",
        "_missing_count",
        "_receipts",
        "messages",
        "outcomes",
    )

    def __init__(
        self, outcomes: Outcomes, messages: Sequence[tuple[Topic, NewMessage]], answer: AnswerAll
    ) -> None:
        self.outcomes = outcomes
        self.messages = messages
        self._answer = answer
        self._receipts: list[Receipt | None] = [None] * len(messages)
        self._missing_count = len(messages)
        self._error: ConduitError | None = None
        self._is_told = False

    def collect(self, index: int, outcome: Receipt | ConduitError) -> None:
        """What became of the message that stands there in the batch; once for each."""
        if isinstance(outcome, ConduitError):
            self._error = self._error or _named(outcome, index)
        else:
            self._receipts[index] = outcome
        self._missing_count -= 1
        if self._missing_count == 0:
            self.tell(self._result())

    def tell(self, result: list[Receipt] | ConduitError) -> None:
        """Answer, unless that was done: the first result is the one that counts."""
        if self._is_told:
            return
        self._is_told = True
        if isinstance(result, ConduitError):
            self.outcomes.refuse(result, self._answer)
        else:
            self._answer(result)

    def _result(self) -> list[Receipt] | ConduitError:
        receipts = [receipt for receipt in self._receipts if receipt is not None]
        if self._error is None:
            return receipts
        if any(not receipt.duplicate for receipt in receipts):
            # Of several shards one has stored its part.
            return OutcomeUnknown(
                f"a part of the batch is not stored ({self._error.told}): repeat it with its"
                " idempotency keys"
            )
        return self._error


def _named(error: ConduitError, index: int) -> ConduitError:
    """The error of one message, as one of the batch. It is told to others as well, who repeat its key."""
    if error.field is None:
        return error
    named = copy(error)
    named.field = f"{path_of(index)}{error.field}"
    return named


class Part:
    """The messages of a batch that are stored in one unit: `indexes` are their places in the batch."""

    __slots__ = ("_batch", "indexes")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.indexes: list[int] = []

    def stored(self, seqs: Sequence[Appended], start: int) -> None:
        """See `Unit.stored`."""
        batch = self._batch
        for place, index in enumerate(self.indexes, start):
            topic, message = batch.messages[index]
            outcome: Receipt | ConduitError
            try:
                outcome = batch.outcomes.stored(topic, message, seqs[place])
            except NotFound as gone:
                # Kept by the batch, which its frames know.
                outcome = batch.outcomes.failed(topic, message, gone.with_traceback(None))
            batch.collect(index, outcome)

    def failed(self, error: ConduitError) -> None:
        """See `Unit.failed`."""
        batch = self._batch
        is_final = not isinstance(error, OutcomeUnknown)
        for index in self.indexes:
            topic, message = batch.messages[index]
            outcome = batch.outcomes.failed(topic, message, error)
            if is_final:
                batch.collect(index, outcome)
        if not is_final:
            batch.tell(error)
