"""What has to be so of a restored copy, by what clients knew before the backup began and after it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.backup.load import (
    MADE_ANEW,
    PATTERN,
    REASON,
    SUBSCRIPTION,
    WHOLE,
    Known,
    idempotency_key,
    payload,
)
from tests.support.access import Signed
from tests.support.http import accepted
from tests.support.wait import until
from tests.support.ws import WsClient

PAGE = 500


class Copy:
    """A restored copy, as one tenant sees it with its key of before.

    `before`: what was acknowledged before the backup began has to be there; `after`: what was acknowledged
    at all, under the same numbers.
    """

    def __init__(self, api: Signed, before: Known, after: Known) -> None:
        self._api, self._before, self._after = api, before, after
        topics = accepted(api.get("/api/topics", limit=PAGE))["topics"]
        self._topics = {topic["name"]: topic for topic in topics}
        self._found = {name: self._browsed(topic) for name, topic in self._topics.items()}

    def check(self) -> None:
        """All of it. The copy is used by that: it is checked once."""
        self._check_log()
        self._check_letters()
        self._check_receipts()
        self._check_positions()
        self._check_subscription()
        self._check_numbers_go_on()

    def _browsed(self, topic: dict[str, Any]) -> dict[int, dict[str, Any]]:
        """All stored messages of a topic by their seq, which has no hole."""
        found: dict[int, dict[str, Any]] = {}
        first = topic["first_seq"]
        while page := self._api.browse(topic["name"], from_seq=first + len(found)):
            found.update((message["seq"], message) for message in page)
        assert list(found) == list(range(first, topic["last_seq"] + 1)), topic
        return found

    def _check_log(self) -> None:
        """Payload by payload: all that has to be there, each message under its number, and no other one."""
        epochs = {epoch for _, _, epoch in self._after.acked.values()}
        there = set()
        for name, messages in self._found.items():
            assert self._topics[name]["epoch"] not in epochs, "a copy has epochs of its own"
            origins = set()
            for seq, message in messages.items():
                number = message["payload"]["n"]
                assert message["payload"] == payload(number)
                there.add(number)
                # Of a topic that was deleted meanwhile a publisher may have heard nothing.
                if number in self._after.acked or name in WHOLE:
                    topic, known_seq, epoch = self._after.acked[number]
                    assert (topic, known_seq) == (name, seq)
                    origins.add(epoch)
            assert len(origins) <= 1, f"{name} is made of several that had this name"
        lost = {n for n, (name, _, _) in self._before.acked.items() if name in WHOLE} - there
        assert not lost, f"{len(lost)} acknowledged messages are missing: {sorted(lost)[:10]}"

    def _check_letters(self) -> None:
        letters = [*self._letters()]
        whole = {letter["payload"]["n"]: letter for letter in letters if not _is_lost(letter)}
        lost = {(letter["topic"], letter["seq"]) for letter in letters if _is_lost(letter)}
        for number, place in self._before.dead.items():
            # What is rejected after it was removed leaves a letter that says only where it was.
            if number not in whole:
                assert place in lost, f"the dead letter of {place} is missing"
        for number, letter in whole.items():
            assert letter["payload"] == payload(number)
            assert (letter["subscription"], letter["reason"]) == (SUBSCRIPTION, REASON)

    def _letters(self) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = accepted(self._api.get("/api/dlq", limit=PAGE, cursor=cursor))
            yield from page["dead_letters"]
            cursor = page["next"]
            if cursor is None:
                return

    def _check_receipts(self) -> None:
        """What was published before the backup, and is published again now, is stored once."""
        for number, receipt in [*self._before.receipts.items()][-3:]:
            again = self._api.publish(
                receipt["topic"], payload(number), idempotency_key=idempotency_key(number)
            )
            assert again["duplicate"], again
            assert (again["seq"], again["message_id"]) == (receipt["seq"], receipt["message_id"])

    def _check_positions(self) -> None:
        """Who comes back with the last position hears of the other numbering, and gets all of the topic."""
        last = {topic: (seq, epoch) for topic, seq, epoch in self._after.acked.values()}
        for topic in WHOLE:
            if topic not in last:
                continue
            seq, epoch = last[topic]
            with self._api.socket() as socket:
                told = socket.subscribe(topic, start={"seq": seq, "epoch": epoch})
                assert told["recovered"] is False, told
                gap = socket.receive("gap")
                assert (gap["reason"], gap["from_seq"]) == ("epoch_changed", seq), gap
                assert gap["epoch"] == self._topics[topic]["epoch"]
                assert socket.receive("message")["seq"] == 1

    def _check_subscription(self) -> None:
        """It is told of each topic, gets what the copy does not have as settled, and settles it."""
        lag = self._api.subscription(SUBSCRIPTION)["lag"]
        with self._api.socket() as socket:
            socket.subscribe(PATTERN, subscription=SUBSCRIPTION, max_in_flight=10_000)
            messages = socket.messages(lag)
            gaps = {topic: socket.receive("gap", topic=topic) for topic in self._topics}
            self._check_given(messages, gaps)
            for message in messages:
                socket.send({"type": "ack", "message_id": message["message_id"]})
            until(lambda: self._api.subscription(SUBSCRIPTION)["lag"] == 0)
            self._check_redrive(socket)

    def _check_given(self, messages: list[dict[str, Any]], gaps: dict[str, Any]) -> None:
        given = {message["payload"]["n"] for message in messages}
        assert not given & self._before.settled, "what was settled before the backup comes again"
        stored = {m["payload"]["n"] for found in self._found.values() for m in found.values()}
        forgotten = stored - given - self._after.settled - self._after.dead.keys()
        assert not forgotten, f"neither settled nor given: {sorted(forgotten)[:10]}"
        for name, gap in gaps.items():
            assert (gap["reason"], gap["to_seq"]) == ("epoch_changed", None), gap
            seqs = [message["seq"] for message in messages if message["topic"] == name]
            assert seqs == sorted(set(seqs)), "in order, each once"
            assert all(seq >= gap["from_seq"] for seq in seqs), (gap, seqs[:3])

    def _check_redrive(self, socket: WsClient) -> None:
        # Of what a topic had before it was made anew there is nothing to deliver.
        letters = (each for each in self._letters() if each["topic"] != MADE_ANEW)
        letter = next(each for each in letters if not _is_lost(each))
        accepted(self._api.post(f"/api/dlq/{letter['id']}/redrive"))
        again = socket.receive("message", message_id=letter["message_id"])
        assert again["payload"] == letter["payload"]
        socket.ack(again)

    def _check_numbers_go_on(self) -> None:
        for name, topic in self._topics.items():
            receipt = self._api.publish(name, payload(0))
            assert (receipt["seq"], receipt["epoch"]) == (topic["last_seq"] + 1, topic["epoch"])


def _is_lost(letter: dict[str, Any]) -> bool:
    return letter.get("payload_lost", False) and letter["topic"] not in WHOLE
