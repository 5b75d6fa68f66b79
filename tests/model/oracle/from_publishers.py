"""What publishers are told."""

from __future__ import annotations

from conduit.broker.publish.receipt import Receipt
from tests.model.oracle.log import Violation
from tests.model.oracle.state import State


class FromPublishers:
    """Checks answers; what is in the log is known from the store."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.waiting_count = 0
        """Publishes that have no answer."""
        self._payloads: dict[tuple[str, str], set[bytes]] = {}

    def keyed(self, topic: str, key: str, payload: bytes) -> None:
        """A message is published under this key."""
        self._payloads.setdefault((topic, key), set()).add(payload)

    def had_another(self, topic: str, key: str, payload: bytes) -> bool:
        """Whether the key was used for another payload as well."""
        return bool(self._payloads.get((topic, key), set()) - {payload})

    def answered(self, receipt: Receipt, key: str | None, payload: bytes) -> None:
        """A publish was accepted: it is in the log, under this number, and was handed on. `payload`: of one
        with a key."""
        place = self.state.log.places.get(receipt.message_id)
        if place is None:
            raise Violation(f"{receipt} was answered, and it is not in the log")
        topic, seq = place
        if (receipt.topic, receipt.seq, receipt.epoch) != (topic.name, seq, topic.epoch):
            raise Violation(f"{receipt} was answered, and it is {topic} {seq}")
        if receipt.duplicate:
            self._check_duplicate(receipt, topic.topic_id, key)
            if topic.messages[seq - 1].payload != payload:
                raise Violation(f"{receipt} is called a duplicate, and had another payload")
        elif not topic.going and receipt.subscribers != self.state.attached_count(topic):
            count = self.state.attached_count(topic)
            raise Violation(f"{receipt} goes to {count} subscribers")

    def _check_duplicate(self, receipt: Receipt, topic_id: int, key: str | None) -> None:
        known = self.state.log.keys.get((topic_id, key or ""))
        if known is None or known.message_id != receipt.message_id:
            raise Violation(f"{receipt} is called a duplicate, and is none under {key!r}")
